-- A database as the first migration made it, with an account, its top-up, and a task.
BEGIN TRANSACTION;
CREATE TABLE accounts (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	webhook_secret TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "accounts" VALUES('acc','acme','w',1795266752287676625);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE balances (
	account TEXT NOT NULL, 
	mode TEXT NOT NULL, 
	amount BIGINT NOT NULL, 
	PRIMARY KEY (account, mode)
);
INSERT INTO "balances" VALUES('acc','live',5);
INSERT INTO "balances" VALUES('acc','test',0);
CREATE TABLE channels (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	base_url TEXT NOT NULL, 
	credential TEXT NOT NULL, 
	secret TEXT NOT NULL, 
	models TEXT NOT NULL, 
	priority BIGINT NOT NULL, 
	weight BIGINT NOT NULL, 
	concurrency BIGINT, 
	options TEXT NOT NULL, 
	disabled BOOLEAN NOT NULL, 
	created_at BIGINT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
CREATE TABLE deployments (
	account TEXT NOT NULL, 
	name TEXT NOT NULL, 
	model TEXT NOT NULL, 
	version TEXT NOT NULL, 
	configuration TEXT NOT NULL, 
	release BIGINT NOT NULL, 
	created_at BIGINT NOT NULL, 
	released_at BIGINT NOT NULL, 
	PRIMARY KEY (account, name)
);
CREATE TABLE entries (
	id TEXT NOT NULL, 
	account TEXT NOT NULL, 
	mode TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	work TEXT, 
	amount BIGINT NOT NULL, 
	detail TEXT NOT NULL, 
	uncovered BIGINT NOT NULL, 
	at BIGINT NOT NULL, 
	PRIMARY KEY (id)
)
 WITHOUT ROWID

;
INSERT INTO "entries" VALUES('06gzwf5f3xmt52d4gyef7s9tz4','acc','live','topup',NULL,5,'{}',0,1795266752287769833);
CREATE TABLE events (
	task TEXT NOT NULL, 
	seq INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	data TEXT NOT NULL, 
	PRIMARY KEY (task, seq)
);
CREATE TABLE files (
	id TEXT NOT NULL, 
	account TEXT NOT NULL, 
	mode TEXT NOT NULL, 
	task TEXT, 
	role TEXT NOT NULL, 
	name TEXT NOT NULL, 
	content_type TEXT NOT NULL, 
	size BIGINT NOT NULL, 
	sha256 TEXT NOT NULL, 
	md5 TEXT NOT NULL, 
	metadata TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT, 
	PRIMARY KEY (id)
);
CREATE TABLE idempotency (
	account TEXT NOT NULL, 
	route TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	body TEXT NOT NULL, 
	task TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	PRIMARY KEY (account, route, "key")
);
CREATE TABLE keys (
	id TEXT NOT NULL, 
	account TEXT NOT NULL, 
	name TEXT NOT NULL, 
	mode TEXT NOT NULL, 
	prefix TEXT NOT NULL, 
	hash BLOB NOT NULL, 
	rpm BIGINT, 
	concurrency BIGINT, 
	created_at BIGINT NOT NULL, 
	revoked_at BIGINT, 
	PRIMARY KEY (id), 
	UNIQUE (hash)
);
CREATE TABLE outbox (
	id TEXT NOT NULL, 
	task TEXT NOT NULL, 
	event TEXT NOT NULL, 
	url TEXT NOT NULL, 
	state TEXT NOT NULL, 
	attempts INTEGER NOT NULL, 
	created_at BIGINT NOT NULL, 
	due_at BIGINT NOT NULL, 
	last_status INTEGER, 
	PRIMARY KEY (id)
);
CREATE TABLE prices (
	id TEXT NOT NULL, 
	model TEXT NOT NULL, 
	rule TEXT NOT NULL, 
	source TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE tasks (
	id TEXT NOT NULL, 
	name TEXT, 
	dialect TEXT NOT NULL, 
	account TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	mode TEXT NOT NULL, 
	source TEXT NOT NULL, 
	model TEXT NOT NULL, 
	version TEXT NOT NULL, 
	deployment TEXT, 
	input TEXT NOT NULL, 
	files TEXT, 
	state TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	channel TEXT, 
	upstream_model TEXT, 
	ref TEXT, 
	refused_by TEXT NOT NULL, 
	report TEXT, 
	output TEXT, 
	logs TEXT NOT NULL, 
	metrics TEXT NOT NULL, 
	error TEXT, 
	error_code TEXT, 
	price TEXT NOT NULL, 
	hold BIGINT NOT NULL, 
	charge BIGINT, 
	webhook TEXT, 
	webhook_events TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	moved_at BIGINT NOT NULL, 
	submitted_at BIGINT, 
	started_at BIGINT, 
	completed_at BIGINT, 
	due_at BIGINT NOT NULL, 
	deadline BIGINT, 
	longest_s FLOAT NOT NULL, 
	canceled_at BIGINT, 
	data_removed BOOLEAN NOT NULL, 
	seq INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "tasks" VALUES('06gzwf5f3wada57qbd07wsj1kr','video_1','replicate','acc','k','live','api','acme/boat','hidden',NULL,'{}',NULL,'succeeded',0,NULL,NULL,NULL,'',NULL,'"ä🚢"','','{}',NULL,NULL,'{"lines":[]}',0,0,NULL,'',1795266752287795952,1795266752287795952,NULL,NULL,5,1795266752287795952,NULL,60.0,NULL,0,0);
CREATE INDEX entries_by_account ON entries (account, mode, id);
CREATE INDEX entries_by_work ON entries (work);
CREATE UNIQUE INDEX one_close_per_work ON entries (work) WHERE kind IN ('settle', 'release');
CREATE UNIQUE INDEX one_hold_per_work ON entries (work) WHERE kind = 'hold';
CREATE INDEX files_by_account ON files (account, mode, id);
CREATE INDEX files_by_hash ON files (sha256);
CREATE INDEX files_by_task ON files (task);
CREATE INDEX files_to_expire ON files (expires_at);
CREATE INDEX idempotency_by_age ON idempotency (created_at);
CREATE INDEX outbox_by_task ON outbox (task);
CREATE INDEX outbox_pending ON outbox (due_at) WHERE state = 'pending';
CREATE INDEX prices_by_model ON prices (model, created_at);
CREATE INDEX tasks_by_account ON tasks (account, mode, id);
CREATE UNIQUE INDEX tasks_by_name ON tasks (name) WHERE name IS NOT NULL;
CREATE INDEX tasks_to_clear ON tasks (completed_at) WHERE completed_at IS NOT NULL AND data_removed IS NOT TRUE;
CREATE INDEX tasks_unfinished ON tasks (id) WHERE charge IS NULL;
COMMIT;
