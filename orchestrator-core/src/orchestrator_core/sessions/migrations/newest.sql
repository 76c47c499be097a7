-- Written by scripts/newest_schema.py after every new migration.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0007');
CREATE TABLE clients (
	id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	name TEXT NOT NULL,
	role TEXT NOT NULL,
	digest TEXT NOT NULL,
	previous_digest TEXT,
	previous_until BIGINT,
	providers TEXT,
	models TEXT,
	requests_per_minute BIGINT,
	session_requests_per_minute BIGINT,
	budget_usd DOUBLE,
	budget_tokens BIGINT,
	budget_period TEXT,
	expires_at BIGINT,
	revoked_at BIGINT,
	revision BIGINT NOT NULL,
	PRIMARY KEY (id)
);
CREATE TABLE idempotency (
	tenant TEXT NOT NULL,
	"key" TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	status INTEGER,
	content_type TEXT,
	body BLOB,
	created_at BIGINT NOT NULL, process_id TEXT, session_id TEXT, headers TEXT,
	PRIMARY KEY (tenant, "key")
);
CREATE TABLE labels (
	tenant TEXT NOT NULL,
	name TEXT NOT NULL,
	value TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	session_id TEXT NOT NULL,
	PRIMARY KEY (tenant, name, value, created_at, session_id),
	FOREIGN KEY(tenant, session_id) REFERENCES sessions (tenant, id) ON DELETE CASCADE
)
 WITHOUT ROWID
;
CREATE TABLE leases (
	name TEXT NOT NULL,
	holder TEXT NOT NULL,
	until BIGINT NOT NULL,
	process_id TEXT NOT NULL,
	finding TEXT,
	PRIMARY KEY (name)
);
CREATE TABLE messages (
	tenant TEXT NOT NULL,
	session_id TEXT NOT NULL,
	sequence INTEGER NOT NULL,
	id TEXT NOT NULL,
	turn_id TEXT NOT NULL,
	role TEXT NOT NULL,
	name TEXT,
	parts TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (tenant, session_id, sequence),
	FOREIGN KEY(tenant, session_id) REFERENCES sessions (tenant, id) ON DELETE CASCADE
);
CREATE TABLE processes (
	id TEXT NOT NULL,
	since BIGINT NOT NULL,
	seen_at BIGINT NOT NULL,
	PRIMARY KEY (id)
);
CREATE TABLE sessions (
	tenant TEXT NOT NULL,
	id TEXT NOT NULL,
	user_id TEXT,
	metadata TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	last_turn_at BIGINT,
	active_at BIGINT NOT NULL,
	closed_at BIGINT,
	message_count INTEGER DEFAULT 0 NOT NULL,
	last_sequence INTEGER DEFAULT 0 NOT NULL,
	unsummarized INTEGER DEFAULT 0 NOT NULL,
	last_turn_id TEXT,
	summary_id TEXT,
	seen_summary_id TEXT,
	last_summary_at BIGINT,
	providers TEXT DEFAULT '[]' NOT NULL,
	total_tokens BIGINT DEFAULT 0 NOT NULL,
	total_cost DOUBLE,
	answered_turns INTEGER DEFAULT 0 NOT NULL,
	answer_time DOUBLE DEFAULT 0 NOT NULL, fence BIGINT DEFAULT 0 NOT NULL, parent_id TEXT, filled_by TEXT,
	PRIMARY KEY (tenant, id)
)
 WITHOUT ROWID
;
CREATE TABLE summaries (
	tenant TEXT NOT NULL,
	id TEXT NOT NULL,
	session_id TEXT NOT NULL,
	from_sequence INTEGER NOT NULL,
	upto_sequence INTEGER NOT NULL,
	replaces TEXT,
	text TEXT NOT NULL,
	provider TEXT,
	model TEXT,
	input_tokens BIGINT,
	cached_input_tokens BIGINT,
	cache_write_tokens BIGINT,
	output_tokens BIGINT,
	reasoning_tokens BIGINT,
	cost DOUBLE,
	created_at BIGINT NOT NULL, tokens_before BIGINT, tokens_after BIGINT, usage_details TEXT,
	PRIMARY KEY (tenant, id),
	FOREIGN KEY(tenant, session_id) REFERENCES sessions (tenant, id) ON DELETE CASCADE
);
CREATE TABLE tenants (
	tenant TEXT NOT NULL,
	shard INTEGER NOT NULL,
	total_created BIGINT NOT NULL,
	total_duration BIGINT NOT NULL,
	PRIMARY KEY (tenant, shard)
)
 WITHOUT ROWID
;
CREATE TABLE turns (
	tenant TEXT NOT NULL,
	id TEXT NOT NULL,
	session_id TEXT NOT NULL,
	state TEXT NOT NULL,
	idempotency_key TEXT,
	summary_id TEXT,
	first_with_summary INTEGER DEFAULT 0 NOT NULL,
	first_sequence INTEGER NOT NULL,
	messages INTEGER NOT NULL,
	user_messages INTEGER NOT NULL,
	answer_sequence INTEGER,
	provider TEXT,
	model TEXT,
	finish_reason TEXT,
	input_tokens BIGINT,
	cached_input_tokens BIGINT,
	cache_write_tokens BIGINT,
	output_tokens BIGINT,
	reasoning_tokens BIGINT,
	cost DOUBLE,
	price_version TEXT,
	attempts TEXT DEFAULT '[]' NOT NULL,
	adjustments TEXT DEFAULT '[]' NOT NULL,
	error_code TEXT,
	duration DOUBLE DEFAULT 0 NOT NULL,
	started_at BIGINT NOT NULL,
	finished_at BIGINT, process_id TEXT, client TEXT, settings TEXT, usage_details TEXT, fingerprint TEXT,
	PRIMARY KEY (tenant, id),
	FOREIGN KEY(tenant, session_id) REFERENCES sessions (tenant, id) ON DELETE CASCADE,
	CONSTRAINT turns_state CHECK (state IN ('pending', 'complete', 'interrupted', 'failed', 'client_closed'))
)
 WITHOUT ROWID
;
CREATE TABLE usage (
	tenant TEXT NOT NULL,
	day INTEGER NOT NULL,
	user_id TEXT NOT NULL,
	client TEXT NOT NULL,
	provider TEXT NOT NULL,
	model TEXT NOT NULL,
	operation TEXT NOT NULL,
	shard INTEGER NOT NULL,
	calls BIGINT NOT NULL,
	input_tokens BIGINT NOT NULL,
	cached_input_tokens BIGINT NOT NULL,
	cache_write_tokens BIGINT NOT NULL,
	output_tokens BIGINT NOT NULL,
	reasoning_tokens BIGINT NOT NULL,
	cost DOUBLE NOT NULL,
	unpriced BIGINT NOT NULL,
	seconds DOUBLE NOT NULL,
	PRIMARY KEY (tenant, day, user_id, client, provider, model, operation, shard)
)
 WITHOUT ROWID
;
CREATE INDEX sessions_created ON sessions (tenant, created_at, id);
CREATE INDEX sessions_user ON sessions (tenant, user_id, created_at, id);
CREATE INDEX turns_session ON turns (tenant, session_id);
CREATE UNIQUE INDEX turns_pending ON turns (tenant, session_id) WHERE state = 'pending';
CREATE UNIQUE INDEX turns_key ON turns (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX idempotency_created ON idempotency (tenant, created_at);
CREATE INDEX turns_process ON turns (process_id) WHERE state = 'pending';
CREATE INDEX idempotency_process ON idempotency (process_id) WHERE status IS NULL;
CREATE INDEX idempotency_age ON idempotency (created_at);
CREATE INDEX sessions_closed ON sessions (tenant, closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX summaries_session ON summaries (tenant, session_id, upto_sequence);
CREATE INDEX labels_session ON labels (tenant, session_id);
CREATE INDEX usage_user ON usage (tenant, user_id, day);
CREATE INDEX usage_client ON usage (tenant, client, day);
CREATE INDEX sessions_process ON sessions (filled_by) WHERE filled_by IS NOT NULL;
CREATE INDEX sessions_closed_newest ON sessions (tenant, created_at, id) WHERE closed_at IS NOT NULL;
CREATE INDEX idempotency_session ON idempotency (tenant, session_id) WHERE session_id IS NOT NULL;
CREATE INDEX sessions_active ON sessions (tenant, active_at, closed_at, filled_by) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX clients_revision ON clients (revision);
CREATE INDEX clients_age ON clients (created_at, id);
CREATE INDEX clients_valid ON clients (created_at, id) WHERE revoked_at IS NULL;
CREATE UNIQUE INDEX clients_name ON clients (name) WHERE revoked_at IS NULL;
CREATE INDEX usage_day ON usage (day);
COMMIT;
