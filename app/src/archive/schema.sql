-- Finished jobs. The same text for SQLite and Postgres, times in milliseconds since 1970. A semicolon ends a statement, in comments too.
CREATE TABLE IF NOT EXISTS celeriac_jobs (
    job_id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    file_name TEXT,
    title TEXT,
    document_id TEXT,
    user_id TEXT,
    created_ms BIGINT NOT NULL,
    finished_ms BIGINT NOT NULL,
    pages BIGINT NOT NULL,
    failed_pages BIGINT NOT NULL,
    words BIGINT NOT NULL,
    cost_usd DOUBLE PRECISION NOT NULL,
    -- What can be searched for, in lower case.
    words_of_it TEXT NOT NULL,
    -- The ledger's entry, the whole result and the log, as JSON.
    entry TEXT NOT NULL,
    result TEXT,
    log TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS celeriac_jobs_by_time ON celeriac_jobs (created_ms, job_id);
CREATE INDEX IF NOT EXISTS celeriac_jobs_by_user ON celeriac_jobs (user_id, created_ms);
CREATE INDEX IF NOT EXISTS celeriac_jobs_by_status ON celeriac_jobs (status, created_ms);
CREATE TABLE IF NOT EXISTS celeriac_job_tags (
    tag TEXT NOT NULL,
    job_id TEXT NOT NULL,
    PRIMARY KEY (tag, job_id)
);
CREATE INDEX IF NOT EXISTS celeriac_job_tags_by_job ON celeriac_job_tags (job_id);
-- Which jobs are documents of another, the first with the greatest place.
CREATE TABLE IF NOT EXISTS celeriac_job_parts (
    job_id TEXT PRIMARY KEY,
    parent TEXT NOT NULL,
    place BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS celeriac_job_parts_by_parent ON celeriac_job_parts (parent, place);
