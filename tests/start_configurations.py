"""Configurations of production, safe and unsafe, and why the unsafe ones must not start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certifi

CLIENT_KEY = "b7e23ec29af22b0b4e41da31e868d57226121c84a9f3e6d5"
OPENAI_KEY = "sk-proj-iK2ZWeqhFWCEPyYngFb51yBMWXaSCrUZoL8g5ubbbPIa84yRnBUbHoWC8FJowoRo"
ANTHROPIC_KEY = "sk-ant-api03-" + "Qx7_Zr2k" * 12
MISTRAL_KEY = "Zk4Qp7Lw" * 4
GROK_KEY = "xai-" + "Hd82Jq6T" * 10

MINIMUM = {
    "ENVIRONMENT": "production",
    "CORS_ALLOWED_ORIGINS": "https://app.example.com",
    "OPENAI_API_KEY": OPENAI_KEY,
    "ORCHESTRATOR_CLIENT_KEY": CLIENT_KEY,
}
"""All that production needs."""

CORS = "CORS_ALLOWED_ORIGINS: origin 1 "
CLIENT = "ORCHESTRATOR_CLIENT_KEY: "
WEAK = f"{CLIENT}the client key is weak: "
DATABASE = "ORCHESTRATOR_DATABASE_URL: "
POSTGRES = "postgresql://gateway:canary-word@db.example.com/canaries"
SHARED = {"ORCHESTRATOR_DATABASE_URL": f"{POSTGRES}?sslmode=verify-full"}
REDIS = "rediss://gateway:canary-word@redis.example.com:6379/0"

ORDINARY = frozenset({"production", "staging", "postgresql", "warn", "false", "INFO", "openai", "echo", "true"})
"""Values that a message may have: words that mean nothing secret."""


@dataclass(frozen=True)
class Configuration:
    """A configuration, as what differs from the minimum.

    Attributes:
        name: What it is.
        environ: Variables; an empty one is not set.
        reasons: How the reasons not to start begin, each of them; without any it starts.
        files: What is in files of the working directory, and their modes.
        runtime: What is said of the process.
    """

    name: str
    environ: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    files: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    runtime: Mapping[str, Any] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        """The whole environment."""
        return {name: value for name, value in {**MINIMUM, **self.environ}.items() if value}

    @property
    def values(self) -> Iterator[str]:
        """Every value that no message may have."""
        texts = [*self.variables.values(), *(content for content, _ in self.files.values())]
        for text in texts:
            yield from (part for part in text.replace("\n", ",").split(",") if len(part) > 2 and part not in ORDINARY)

    def write_files(self, directory: Path) -> None:
        """Put its files into a folder that everybody may enter, as a working directory often is."""
        directory.chmod(0o755)
        for name, (content, mode) in self.files.items():
            path = directory / name
            path.write_text(content)
            path.chmod(mode)


UNSAFE = (
    Configuration("no key of a provider", {"OPENAI_API_KEY": ""}, ("No provider is usable. Set ",)),
    Configuration(
        "an example in place of a key",
        {"OPENAI_API_KEY": "your_openai_api_key_here"},
        ("No provider is usable", "OPENAI_API_KEY: the key is a placeholder"),
    ),
    Configuration(
        "a key that is cut off", {"OPENAI_API_KEY": "sk-proj-cutoff"}, ("OPENAI_API_KEY: the key is malformed",)
    ),
    Configuration(
        "a key with a space", {"OPENAI_API_KEY": f"{OPENAI_KEY} x"}, ("OPENAI_API_KEY: the key is malformed",)
    ),
    Configuration(
        "Anthropic's key for OpenAI", {"OPENAI_API_KEY": ANTHROPIC_KEY}, ("OPENAI_API_KEY: the key is not this",)
    ),
    Configuration("xAI's key for OpenAI", {"OPENAI_API_KEY": GROK_KEY}, ("OPENAI_API_KEY: the key is not this",)),
    Configuration(
        "OpenAI's key for Anthropic", {"ANTHROPIC_API_KEY": OPENAI_KEY}, ("ANTHROPIC_API_KEY: the key is not",)
    ),
    Configuration("OpenAI's key for Mistral", {"MISTRAL_API_KEY": OPENAI_KEY}, ("MISTRAL_API_KEY: the key is not",)),
    Configuration("OpenAI's key for Grok", {"GROK_API_KEY": OPENAI_KEY}, ("GROK_API_KEY: the key is not",)),
    Configuration(
        "a second key that is none",
        {"OPENAI_API_KEY": f"{OPENAI_KEY},sk-cutoff"},
        ("OPENAI_API_KEY: key 2 is malformed",),
    ),
    Configuration(
        "a file of keys that is not there",
        {"OPENAI_API_KEY": "", "OPENAI_API_KEY_FILE": "nowhere/canary"},
        ("OPENAI_API_KEY_FILE: its file cannot be read",),
    ),
    Configuration("no client key", {"ORCHESTRATOR_CLIENT_KEY": ""}, (f"{CLIENT}production needs a client key",)),
    Configuration("a short client key", {"ORCHESTRATOR_CLIENT_KEY": CLIENT_KEY[:31]}, (WEAK,)),
    Configuration("a client key of one letter", {"ORCHESTRATOR_CLIENT_KEY": "a" * 64}, (WEAK,)),
    Configuration("a client key of few letters", {"ORCHESTRATOR_CLIENT_KEY": "abcabcab" * 8}, (WEAK,)),
    Configuration("a client key twice over", {"ORCHESTRATOR_CLIENT_KEY": "k7Qx2mNp9Rw4zTb8" * 2}, (WEAK,)),
    Configuration("a client key of rows", {"ORCHESTRATOR_CLIENT_KEY": "abcdefghijklmnopqrstuvwxyz0123456789"}, (WEAK,)),
    Configuration(
        "a client key of words",
        {"ORCHESTRATOR_CLIENT_KEY": "Orchestrator-Admin-Password-Production-2026!"},
        (WEAK,),
    ),
    Configuration(
        "an example in place of the client key",
        {"ORCHESTRATOR_CLIENT_KEY": "your-client-key-goes-exactly-here-0123"},
        (f"{WEAK}it is an example",),
    ),
    Configuration(
        "the provider's key for clients", {"ORCHESTRATOR_CLIENT_KEY": OPENAI_KEY}, (f"{CLIENT}it is the key of",)
    ),
    Configuration("any origin", {"CORS_ALLOWED_ORIGINS": "*"}, (f"{CORS}has a wildcard",)),
    Configuration("any subdomain", {"CORS_ALLOWED_ORIGINS": "https://*.example.com"}, (f"{CORS}has a wildcard",)),
    Configuration("the origin null", {"CORS_ALLOWED_ORIGINS": "null"}, (f"{CORS}is the opaque one",)),
    Configuration(
        "an origin without TLS", {"CORS_ALLOWED_ORIGINS": "http://app.example.com"}, (f"{CORS}is plain http",)
    ),
    Configuration(
        "an origin of this machine", {"CORS_ORIGINS": "http://localhost:3000", "CORS_ALLOWED_ORIGINS": ""}, (CORS,)
    ),
    Configuration(
        "an origin with a path", {"CORS_ALLOWED_ORIGINS": "https://app.example.com/chat"}, (f"{CORS}has a path",)
    ),
    Configuration(
        "an origin with a slash", {"CORS_ALLOWED_ORIGINS": "https://app.example.com/"}, (f"{CORS}ends with a",)
    ),
    Configuration(
        "an origin with a user", {"CORS_ALLOWED_ORIGINS": "https://u:p@app.example.com"}, (f"{CORS}has a user",)
    ),
    Configuration(
        "an origin with a space", {"CORS_ALLOWED_ORIGINS": "https://a b.example.com"}, (f"{CORS}has a character",)
    ),
    Configuration(
        "an origin with the port of https",
        {"CORS_ALLOWED_ORIGINS": "https://app.example.com:443"},
        (f"{CORS}has the port",),
    ),
    Configuration("an origin that is none", {"CORS_ALLOWED_ORIGINS": "app.example.com"}, (f"{CORS}is no origin",)),
    *(
        Configuration(f"an origin {what}", {"CORS_ALLOWED_ORIGINS": origin}, (f"{CORS}is no origin",))
        for what, origin in {
            "that begins with a dot": "https://.example.com",
            "with a part of 64 characters": f"https://{'a' * 64}.example.com",
            "with a part that begins with a hyphen": "https://-app.example.com",
            "with a part that ends with a hyphen": "https://app-.example.com",
            "at a port that is none": "https://app.example.com:99999",
            "of one interface": "https://[fe80::1%eth0]",
        }.items()
    ),
    Configuration("nothing but a wildcard for the host", {"CORS_ALLOWED_ORIGINS": "https://*"}, (f"{CORS}has a wild",)),
    Configuration(
        "an upstream without TLS", {"OPENAI_BASE_URL": "http://api.example.com/v1"}, ("openai: its base URL is",)
    ),
    Configuration(
        "an upstream that looks local",
        {"OPENAI_BASE_URL": "http://127.0.0.1.example.com/v1"},
        ("openai: its base URL is",),
    ),
    Configuration(
        "an upstream at a port that is none",
        {"OPENAI_BASE_URL": "https://api.example.com:99999/v1"},
        ("OPENAI_BASE_URL: expected a URL",),
    ),
    Configuration(
        "an upstream with a query",
        {"OPENAI_BASE_URL": "https://api.example.com/v1?canary=canary"},
        ("OPENAI_BASE_URL: expected a URL",),
    ),
    Configuration(
        "answers of no length",
        {"OPENAI_DEFAULT_MAX_TOKENS": "-1000000", "OPENAI_DEFAULT_TEMPERATURE": "99.5"},
        ("OPENAI_DEFAULT_MAX_TOKENS: expected", "OPENAI_DEFAULT_TEMPERATURE: expected"),
    ),
    Configuration(
        "an upstream with a user",
        {"OPENAI_BASE_URL": "https://canary:word-word@api.example.com/v1"},
        ("openai: its base URL has a user",),
    ),
    Configuration(
        "a named server without TLS",
        {"ORCHESTRATOR_SERVERS": '{"ollama": {"base_url": "http://ollama.example.com:11434/v1"}}'},
        ("ollama: its base URL is",),
    ),
    Configuration(
        "a password for a proxy without TLS",
        {"ORCHESTRATOR_UPSTREAM_PROXY": "http://canary:word-word@proxy.example.com:3128"},
        ("ORCHESTRATOR_UPSTREAM_PROXY: its password",),
    ),
    Configuration(
        "a server of this machine behind a proxy without TLS",
        {"ORCHESTRATOR_UPSTREAM_PROXY": "http://proxy.example.com:3128", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"},
        ("openai: ORCHESTRATOR_UPSTREAM_PROXY would read",),
    ),
    Configuration(
        "conversations for a collector without TLS",
        {
            "ORCHESTRATOR_OTEL_CAPTURE_CONTENT": "true",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector.example.com:4318/v1/traces",
        },
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: ",),
    ),
    Configuration(
        "a credential for a collector without TLS",
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example.com:4318",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=canary-of-telemetry",
        },
        ("OTEL_EXPORTER_OTLP_ENDPOINT: ",),
    ),
    Configuration("a log that shows everything", {"LOG_LEVEL": "DEBUG"}, ("LOG_LEVEL: ",)),
    Configuration("asyncio for developers", {"PYTHONASYNCIODEBUG": "1"}, ("PYTHONASYNCIODEBUG: ",)),
    Configuration("Python for developers", {"PYTHONDEVMODE": "1"}, ("PYTHONDEVMODE: ",)),
    Configuration(
        "Python for developers by an option", runtime={"developer_mode": True}, reasons=("Python runs in its",)
    ),
    Configuration("the keys of TLS in a file", {"SSLKEYLOGFILE": "canary-of-tls.log"}, ("SSLKEYLOGFILE: ",)),
    Configuration("TLS that verifies nothing", {"PYTHONHTTPSVERIFY": "0"}, ("PYTHONHTTPSVERIFY: ",)),
    Configuration("an authority that is not there", {"SSL_CERT_FILE": "nowhere/canary.pem"}, ("SSL_CERT_FILE: ",)),
    Configuration(
        "a parser in Python",
        {"AIOHTTP_NO_EXTENSIONS": "1"},
        ("aiohttp reads requests",),
        runtime={"compiled_parser": False},
    ),
    Configuration(
        "a database in memory", {"ORCHESTRATOR_DATABASE_URL": "memory:"}, (f"{DATABASE}a database in memory",)
    ),
    Configuration(
        "a database without TLS",
        {"ORCHESTRATOR_DATABASE_URL": f"{POSTGRES}?sslmode=disable"},
        (f"{DATABASE}conversations would travel",),
    ),
    Configuration(
        "a database without TLS by its own variable",
        {"ORCHESTRATOR_DATABASE_URL": POSTGRES, "PGSSLMODE": "allow"},
        (f"{DATABASE}conversations would travel",),
    ),
    Configuration(
        "a database without TLS at a host of its own variable",
        {"ORCHESTRATOR_DATABASE_URL": "postgresql:///canaries?sslmode=disable", "PGHOST": "db.example.com"},
        ("PGHOST: conversations would travel",),
    ),
    Configuration(
        "a database whose host a service names",
        {"ORCHESTRATOR_DATABASE_URL": "postgresql:///canaries?service=canary-service&sslmode=disable"},
        (f"{DATABASE}a service",),
    ),
    Configuration(
        "a database with a password that is cut in two",
        {
            "ORCHESTRATOR_DATABASE_URL": "postgresql://gateway:canary@db.example.com,x@localhost/canaries?sslmode=disable"
        },
        (f"{DATABASE}expected sqlite:///file",),
    ),
    Configuration(
        "a database with a kind of TLS that is none",
        {"ORCHESTRATOR_DATABASE_URL": f"{POSTGRES}?sslmode=requir"},
        (f"{DATABASE}there is no such sslmode",),
    ),
    Configuration(
        "a database with a kind of TLS that is none by its own variable",
        {"ORCHESTRATOR_DATABASE_URL": POSTGRES, "PGSSLMODE": "verify_full"},
        ("PGSSLMODE: there is no such sslmode",),
    ),
    Configuration(
        "a database whose address nobody can read",
        {"ORCHESTRATOR_DATABASE_URL": "postgresql://gateway:canary-word@db example/canaries"},
        (f"{DATABASE}expected sqlite:///file",),
    ),
    Configuration(
        "a database at a port that is none",
        {"ORCHESTRATOR_DATABASE_URL": "postgresql://gateway:canary-word@db.example.com:canary/canaries"},
        (f"{DATABASE}expected sqlite:///file",),
    ),
    Configuration(
        "workers over SQLite",
        {"ORCHESTRATOR_WORKERS": "4", "ORCHESTRATOR_REDIS_URL": REDIS},
        ("ORCHESTRATOR_WORKERS: several workers need a database",),
    ),
    Configuration(
        "replicas over SQLite",
        {"ORCHESTRATOR_EXPECTED_PROCESSES": "3", "ORCHESTRATOR_REDIS_URL": REDIS},
        ("ORCHESTRATOR_EXPECTED_PROCESSES: several processes need a database",),
    ),
    Configuration(
        "workers whose limits are apart",
        {**SHARED, "ORCHESTRATOR_WORKERS": "4"},
        ("ORCHESTRATOR_WORKERS: each of several processes would admit",),
    ),
    Configuration(
        "replicas whose limits are apart",
        {**SHARED, "ORCHESTRATOR_EXPECTED_PROCESSES": "3"},
        ("ORCHESTRATOR_EXPECTED_PROCESSES: each of several processes would admit",),
    ),
    Configuration(
        "secrets that everybody reads",
        dict.fromkeys(MINIMUM, ""),
        (".env: every user of this machine can read it",),
        files={".env": ("\n".join(f"{name}={value}" for name, value in MINIMUM.items()), 0o644)},
    ),
    Configuration(
        "a key that everybody reads",
        {"OPENAI_API_KEY": "", "OPENAI_API_KEY_FILE": "canary.key"},
        ("OPENAI_API_KEY_FILE: every user of this machine can read it",),
        files={"canary.key": (OPENAI_KEY, 0o604)},
    ),
    Configuration(
        "a key that everybody changes",
        {"OPENAI_API_KEY": "", "OPENAI_API_KEY_FILE": "canary.key"},
        ("OPENAI_API_KEY_FILE: every user of this machine can change it",),
        files={"canary.key": (OPENAI_KEY, 0o602)},
    ),
    Configuration(
        "a configuration file that everybody changes",
        {},
        ("orchestrator.toml: every user of this machine can change it",),
        files={"orchestrator.toml": ("total_timeout = 300", 0o646)},
    ),
    Configuration(
        "a password in a file that everybody reads",
        {},
        ("orchestrator.toml: every user of this machine can read it",),
        files={"orchestrator.toml": (f'database_url = "{POSTGRES}?sslmode=verify-full"', 0o644)},
    ),
    Configuration(
        "conversations that everybody reads",
        {},
        (f"{DATABASE}every user of this machine can read it",),
        files={"orchestrator.db": ("", 0o644)},
    ),
    Configuration(
        "everybody a trusted proxy",
        {"ORCHESTRATOR_TRUSTED_PROXIES": "10.0.0.0/8,0.0.0.0/0,::/0"},
        ("ORCHESTRATOR_TRUSTED_PROXIES: entry 2", "ORCHESTRATOR_TRUSTED_PROXIES: entry 3"),
    ),
    Configuration(
        "countries that nobody can tell",
        {"ORCHESTRATOR_BLOCKED_COUNTRIES": "XA,XB"},
        ("ORCHESTRATOR_BLOCKED_COUNTRIES: nothing tells",),
    ),
    Configuration(
        "countries by a header that anybody may send",
        {"ORCHESTRATOR_BLOCKED_COUNTRIES": "XA,XB", "ORCHESTRATOR_COUNTRY_HEADER": "X-Canary-Country"},
        ("ORCHESTRATOR_COUNTRY_HEADER: the header is believed",),
    ),
    Configuration(
        "countries by a file that is not there",
        {"ORCHESTRATOR_BLOCKED_COUNTRIES": "XA,XB", "ORCHESTRATOR_GEOIP_DATABASE": "nowhere/canary.mmdb"},
        ("ORCHESTRATOR_GEOIP_DATABASE: ",),
    ),
    Configuration(
        "plugins that nobody listed",
        {"ORCHESTRATOR_ALLOWED_PLUGINS": "orchestrator_openai", "ORCHESTRATOR_PROVIDERS": "openai"},
        ("ORCHESTRATOR_ALLOWED_PLUGINS: the installed plugin orchestrator-",) * 9,
    ),
    Configuration(
        "a name that is misspelt", {"ORCHESTRATOR_CLIENT_KEYS": "canaries"}, ("ORCHESTRATOR_CLIENT_KEYS: there is no",)
    ),
    Configuration(
        "an entry that is misspelt", {}, ("falbacks: ",), files={"orchestrator.toml": ('falbacks = ["canary"]', 0o600)}
    ),
    Configuration(
        "a provider that is not there",
        {"ORCHESTRATOR_PROVIDERS": "openai,acme-canary"},
        ("providers: entry 2: no installed",),
    ),
    Configuration(
        "a value of another type", {"ORCHESTRATOR_TOTAL_TIMEOUT": "canaries"}, ("ORCHESTRATOR_TOTAL_TIMEOUT: ",)
    ),
    Configuration(
        "a key in the file",
        {},
        ("provider.openai.api_key: a key",),
        files={"orchestrator.toml": (f'[provider.openai]\napi_key = "{OPENAI_KEY}"', 0o600)},
    ),
    Configuration(
        "much at once",
        {
            "OPENAI_API_KEY": ANTHROPIC_KEY,
            "ORCHESTRATOR_CLIENT_KEY": "canary-client",
            "CORS_ALLOWED_ORIGINS": "http://canary.example/path,*",
            "OPENAI_BASE_URL": "http://canary.example",
            "LOG_LEVEL": "DEBUG",
            "ORCHESTRATOR_IDLE_TIMEOUT": "canaries",
            "ORCHESTRATOR_DATABASE_URL": "memory:",
        },
        (
            "ORCHESTRATOR_IDLE_TIMEOUT: ",
            WEAK,
            f"{CORS}is plain http",
            f"{CORS}has a path",
            "CORS_ALLOWED_ORIGINS: origin 2 has a wildcard",
            "openai: its base URL",
            "LOG_LEVEL: ",
            f"{DATABASE}a database in memory",
            "OPENAI_API_KEY: the key is not",
        ),
    ),
)

SAFE = (
    Configuration("the minimum"),
    Configuration("staging", {"ENVIRONMENT": "staging"}),
    Configuration("an environment in capitals", {"ENVIRONMENT": "Production"}),
    Configuration("no page at all", {"CORS_ALLOWED_ORIGINS": ""}),
    Configuration(
        "several pages, a port among them",
        {"CORS_ALLOWED_ORIGINS": "https://a.example.com, https://b.example.com:8443"},
    ),
    Configuration("a page with an international name", {"CORS_ALLOWED_ORIGINS": "https://xn--pp-wia.example.com"}),
    Configuration("a page at an address of IPv6", {"CORS_ALLOWED_ORIGINS": "https://[2001:db8::1]:8443"}),
    Configuration("the other name of CORS", {"CORS_ORIGINS": "https://app.example.com", "CORS_ALLOWED_ORIGINS": ""}),
    Configuration("two keys of a provider", {"OPENAI_API_KEY": f"{OPENAI_KEY},{OPENAI_KEY[:-1]}9"}),
    Configuration(
        "several providers",
        {"ANTHROPIC_API_KEY": ANTHROPIC_KEY, "MISTRAL_API_KEY": MISTRAL_KEY, "GROK_API_KEY": GROK_KEY},
    ),
    Configuration("another provider alone", {"OPENAI_API_KEY": "", "ANTHROPIC_API_KEY": ANTHROPIC_KEY}),
    Configuration("one provider served alone", {"ORCHESTRATOR_PROVIDERS": "openai"}),
    Configuration(
        "a key of an unknown form that the operator knows",
        {"OPENAI_API_KEY": "sk-unheard-of", "ORCHESTRATOR_KEY_CHECK": "warn"},
    ),
    Configuration("an upstream over TLS", {"OPENAI_BASE_URL": "https://proxy.example.com/v1"}),
    Configuration("an upstream on this machine", {"OPENAI_BASE_URL": "http://127.0.0.1:9000/v1"}),
    Configuration("an upstream on this machine by IPv6", {"OPENAI_BASE_URL": "http://[::1]:9000/v1"}),
    Configuration(
        "a server of this machine and no key",
        {"OPENAI_API_KEY": "", "ORCHESTRATOR_SERVERS": '{"ollama": {"base_url": "http://localhost:11434/v1"}}'},
    ),
    Configuration("a proxy that makes tunnels", {"ORCHESTRATOR_UPSTREAM_PROXY": "http://proxy.example.com:3128"}),
    Configuration(
        "a proxy over TLS", {"ORCHESTRATOR_UPSTREAM_PROXY": "https://canary:word-word@proxy.example.com:3128"}
    ),
    Configuration("an authority of one's own", {"SSL_CERT_FILE": certifi.where()}),
    Configuration("PostgreSQL over TLS", SHARED),
    Configuration(
        "PostgreSQL on this machine", {"ORCHESTRATOR_DATABASE_URL": "postgresql://gateway@127.0.0.1/db?sslmode=disable"}
    ),
    Configuration(
        "several PostgreSQL",
        {
            "ORCHESTRATOR_DATABASE_URL": "postgresql://gateway:a%40b@db1.example.com:5432,[2001:db8::1]/db?sslmode=verify-full"
        },
    ),
    Configuration(
        "PostgreSQL by its socket",
        {"ORCHESTRATOR_DATABASE_URL": "postgresql:///db?host=/run/postgresql&sslmode=disable"},
    ),
    Configuration("PostgreSQL as its default has it", {"ORCHESTRATOR_DATABASE_URL": POSTGRES}),
    Configuration("workers", {**SHARED, "ORCHESTRATOR_WORKERS": "4", "ORCHESTRATOR_REDIS_URL": REDIS}),
    Configuration("replicas", {**SHARED, "ORCHESTRATOR_EXPECTED_PROCESSES": "3", "ORCHESTRATOR_REDIS_URL": REDIS}),
    Configuration("one process, said", {"ORCHESTRATOR_EXPECTED_PROCESSES": "1"}),
    Configuration(
        "everything in a file of its own",
        dict.fromkeys(MINIMUM, ""),
        files={".env": ("\n".join(f"{name}={value}" for name, value in MINIMUM.items()), 0o600)},
    ),
    Configuration(
        "keys in files of their own",
        {
            "OPENAI_API_KEY": "",
            "OPENAI_API_KEY_FILE": "openai",
            "ORCHESTRATOR_CLIENT_KEY": "",
            "ORCHESTRATOR_CLIENT_KEY_FILE": "client",
        },
        files={"openai": (f"{OPENAI_KEY}\n", 0o400), "client": (f"{CLIENT_KEY}\n", 0o440)},
    ),
    Configuration(
        "a file that everybody may read, without a secret", files={"orchestrator.toml": ("total_timeout = 300", 0o644)}
    ),
    Configuration(
        "limits of one's own",
        {"ORCHESTRATOR_MAX_REQUESTS_PER_MINUTE": "1000", "ORCHESTRATOR_RATE_LIMIT_PER_SESSION": "500"},
    ),
    Configuration(
        "a list of plugins that has them all",
        {
            "ORCHESTRATOR_ALLOWED_PLUGINS": ",".join(
                f"Orchestrator_{name}"
                for name in ("openai", "anthropic", "gemini", "mistral", "grok", "qwen", "deepseek", "kimi", "echo")
            )
            + ",orchestrator-openai-compatible"
        },
    ),
    Configuration(
        "what Kubernetes puts into every container",
        {"ORCHESTRATOR_AGENT_SERVICE_HOST": "10.0.0.1", "ORCHESTRATOR_AGENT_PORT": "tcp://10.0.0.1:8000"},
    ),
    Configuration(
        "countries by the header of a trusted proxy",
        {
            "ORCHESTRATOR_BLOCKED_COUNTRIES": "XA,XB",
            "ORCHESTRATOR_COUNTRY_HEADER": "CF-IPCountry",
            "ORCHESTRATOR_TRUSTED_PROXIES": "10.0.0.0/8,2001:db8::/32",
        },
    ),
    Configuration("a collector without secrets", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example.com:4318"}),
    Configuration("a log that says little", {"LOG_LEVEL": "WARNING"}),
)
