CREATE TABLE breakwater_schema (version INTEGER PRIMARY KEY);
INSERT INTO breakwater_schema (version) VALUES (1), (2), (3);
CREATE TABLE breakwater_ledger (
  id TEXT PRIMARY KEY, at_ms BIGINT NOT NULL, request_id TEXT NOT NULL, attempt INTEGER NOT NULL, tenant TEXT NOT NULL,
  user_id TEXT NOT NULL, project TEXT NOT NULL, key_id TEXT NOT NULL, tags TEXT NOT NULL, operation TEXT NOT NULL,
  provider TEXT NOT NULL, model TEXT NOT NULL, outcome TEXT NOT NULL, error TEXT, took_ms BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, cached_input_tokens BIGINT NOT NULL,
  cache_write_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL, counted TEXT NOT NULL, cost_nanos BIGINT,
  max_tokens BIGINT, fingerprint TEXT
);
CREATE INDEX breakwater_ledger_time ON breakwater_ledger (at_ms, id);
CREATE INDEX breakwater_ledger_user ON breakwater_ledger (tenant, user_id, at_ms);
CREATE TABLE breakwater_ledger_sums (
  tenant TEXT NOT NULL, dimension TEXT NOT NULL, slot BIGINT NOT NULL, value TEXT NOT NULL, records BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, cached_input_tokens BIGINT NOT NULL,
  cache_write_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL, cost_nanos BIGINT NOT NULL,
  unpriced BIGINT NOT NULL, took_ms BIGINT NOT NULL, PRIMARY KEY (dimension, slot, tenant, value)
);
CREATE TABLE breakwater_budget (
  account TEXT NOT NULL, bucket_ms BIGINT NOT NULL, end_ms BIGINT, spent BIGINT NOT NULL, reserved BIGINT NOT NULL,
  PRIMARY KEY (account, bucket_ms)
);
CREATE INDEX breakwater_budget_end ON breakwater_budget (end_ms);
CREATE TABLE breakwater_budget_open (id TEXT PRIMARY KEY, end_ms BIGINT);
CREATE TABLE breakwater_cache (
  tenant TEXT NOT NULL, namespace TEXT NOT NULL, digest TEXT NOT NULL, stored_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL, entry TEXT NOT NULL, PRIMARY KEY (tenant, namespace, digest)
);
CREATE INDEX breakwater_cache_end ON breakwater_cache (expires_ms)
