"""Readings in partitions by day, usage records by month, and their roll-ups by day and by month.

What exists is kept where it lies: a table with rows becomes the first partition of the new one, whatever its size; an
empty one is replaced. Rows that no partition covers lie in the default one until the worker moves them.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

DAY_NS = 86_400_000_000_000

# A table becomes the partition up to the first edge after its last row; one that is partitioned already is left alone.
PARTITION = """
DO $do$
DECLARE
    until {key_type};
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = to_regclass('{table}')) = 'p' THEN
        RETURN;
    END IF;
    LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;
    {before}
    ALTER TABLE {table} RENAME TO {table}_before;
    ALTER INDEX {table}_pkey RENAME TO {table}_before_pkey;
    CREATE TABLE {table} (LIKE {table}_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS, PRIMARY KEY ({primary_key}))
        PARTITION BY RANGE ({key});
    CREATE TABLE {table}_default PARTITION OF {table} DEFAULT;
    {after}
    SELECT max({key}) INTO until FROM {table}_before;
    IF until IS NULL THEN
        DROP TABLE {table}_before;
    ELSE
        EXECUTE format('ALTER TABLE {table} ATTACH PARTITION {table}_before FOR VALUES FROM (MINVALUE) TO (%L)',
            {next_edge});
    END IF;
END $do$;
"""

RUN_KEY = "account_id, service_id, incarnation, sampled_ns"
HOLDER_KEY = "account_id, service_id, holder, sampled_ns"
USAGE_KEY = "account_id, service_id, incarnation, metric, period_start, revision"
NEXT_DAY = f"(until / {DAY_NS} + 1) * {DAY_NS}"
NEXT_MONTH = "(date_trunc('month', until, 'UTC') AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'"

USAGE_BEFORE = """
    DROP TRIGGER closed_usage_never_changes ON usage_records;
    DROP INDEX IF EXISTS usage_records_external;
    ALTER INDEX usage_records_service_period RENAME TO usage_records_before_service_period;
    ALTER INDEX usage_records_timestamp RENAME TO usage_records_before_timestamp;
    ALTER INDEX usage_records_metric RENAME TO usage_records_before_metric;
    ALTER INDEX usage_records_account_period RENAME TO usage_records_before_account_period;
    ALTER INDEX usage_records_open RENAME TO usage_records_before_open;
"""
USAGE_AFTER = """
    ALTER TABLE usage_records ADD FOREIGN KEY (account_id) REFERENCES accounts;
    CREATE INDEX usage_records_service_period ON usage_records (service_id, period_start, period_end);
    CREATE INDEX usage_records_timestamp ON usage_records ("timestamp");
    CREATE INDEX usage_records_metric ON usage_records (metric);
    CREATE INDEX usage_records_account_period ON usage_records (account_id, period_start);
    CREATE INDEX usage_records_open ON usage_records (account_id, period_end) WHERE closed_at IS NULL;
"""

ROLL_UPS = """
CREATE TABLE IF NOT EXISTS metering_horizon (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    readings_from_ns bigint NOT NULL
);
INSERT INTO metering_horizon (readings_from_ns) VALUES (0) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS usage_days (
    account_id uuid NOT NULL,
    day date NOT NULL,
    service_id uuid NOT NULL,
    metric usage_metric NOT NULL,
    quantity numeric(40, 0) NOT NULL,
    PRIMARY KEY (account_id, day, service_id, metric)
);
CREATE TABLE IF NOT EXISTS usage_months (
    account_id uuid NOT NULL,
    month date NOT NULL,
    service_id uuid NOT NULL,
    metric usage_metric NOT NULL,
    quantity numeric(40, 0) NOT NULL,
    PRIMARY KEY (account_id, month, service_id, metric)
);

-- The unique keys of external records: a unique index of a partitioned table would need the month in it.
CREATE TABLE IF NOT EXISTS usage_record_keys (
    account_id uuid NOT NULL,
    incarnation text NOT NULL,
    id uuid NOT NULL,
    period_start timestamptz NOT NULL,
    PRIMARY KEY (account_id, incarnation)
);
INSERT INTO usage_record_keys (account_id, incarnation, id, period_start)
SELECT account_id, incarnation, id, period_start FROM usage_records WHERE starts_with(incarnation, 'record:')
ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION keep_usage_record_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage_record_keys AS k (account_id, incarnation, id, period_start)
    VALUES (NEW.account_id, NEW.incarnation, NEW.id, NEW.period_start)
    ON CONFLICT (account_id, incarnation) DO UPDATE SET period_start = EXCLUDED.period_start WHERE k.id = EXCLUDED.id;
    IF NOT FOUND THEN
        RAISE unique_violation USING MESSAGE = format('usage record key %s is taken', NEW.incarnation);
    END IF;
    RETURN NEW;
END $$;
"""

RECORD_KEY_TRIGGER = """
CREATE OR REPLACE TRIGGER external_record_has_its_key BEFORE INSERT ON usage_records
    FOR EACH ROW WHEN (starts_with(NEW.incarnation, 'record:')) EXECUTE FUNCTION keep_usage_record_key();
CREATE OR REPLACE TRIGGER closed_usage_never_changes BEFORE UPDATE OR DELETE ON usage_records
    FOR EACH ROW EXECUTE FUNCTION refuse_to_change_closed_usage();
"""

ADD = """
INSERT INTO usage_{unit}s AS u (account_id, {unit}, service_id, metric, quantity)
SELECT account_id, (date_trunc('{unit}', period_start, 'UTC') AT TIME ZONE 'UTC')::date, service_id, metric,
    sum(quantity) FROM ({changes}) AS change GROUP BY 1, 2, 3, 4 HAVING sum(quantity) <> 0 ORDER BY 1, 2, 3, 4
ON CONFLICT (account_id, {unit}, service_id, metric) DO UPDATE SET quantity = {result};
"""
ROW = "SELECT account_id, period_start, service_id, metric, {sign}quantity AS quantity FROM {rows}"
PLUS, MINUS = ROW.format(sign="", rows="new_rows"), ROW.format(sign="-", rows="old_rows")


def add(changes: str, result: str = "u.quantity + EXCLUDED.quantity") -> str:
    return "".join(ADD.format(unit=unit, changes=changes, result=result) for unit in ("day", "month"))


# Whatever writes usage records, the roll-ups take the same difference in the same statement.
ROLL_UP_TRIGGERS = f"""
CREATE OR REPLACE FUNCTION roll_up_usage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN {add(PLUS)}
    ELSIF TG_OP = 'UPDATE' THEN {add(f"{PLUS} UNION ALL {MINUS}")}
    ELSE {add(MINUS)}
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER inserted_usage_is_rolled_up AFTER INSERT ON usage_records
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION roll_up_usage();
CREATE OR REPLACE TRIGGER changed_usage_is_rolled_up AFTER UPDATE ON usage_records
    REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION roll_up_usage();
CREATE OR REPLACE TRIGGER deleted_usage_is_rolled_up AFTER DELETE ON usage_records
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION roll_up_usage();
"""
ROLL_UP_WHAT_IS = "LOCK TABLE usage_records IN SHARE MODE;" + add(
    ROW.format(sign="", rows="usage_records"), "EXCLUDED.quantity"
)


def partition(table: str, key: str, key_type: str, primary_key: str, next_edge: str, **more: str) -> str:
    names = {"table": table, "key": key, "key_type": key_type, "primary_key": primary_key, "next_edge": next_edge}
    return PARTITION.format(**names, before=more.get("before", ""), after=more.get("after", ""))


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(partition("container_readings", "sampled_ns", "bigint", RUN_KEY, NEXT_DAY))
    op.execute(partition("storage_readings", "sampled_ns", "bigint", HOLDER_KEY, NEXT_DAY))
    usage = partition(
        *("usage_records", "period_start", "timestamptz", USAGE_KEY, NEXT_MONTH), before=USAGE_BEFORE, after=USAGE_AFTER
    )
    for part in (usage, ROLL_UPS, RECORD_KEY_TRIGGER, ROLL_UP_TRIGGERS, ROLL_UP_WHAT_IS):
        op.execute(part)
