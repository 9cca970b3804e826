"""When services were held for payment, kept after the hold is lifted: what runs then costs no compute and no memory.

A stretch begins with its hold, and ends when the code that lifts the hold says so. Code of before this goes on as it
did: of a hold that it lifts, the database's own clock tells when. Runs that were counted for good beyond the instant at
which a hold begins or ends are counted anew from that hour on. Holds of now begin where they were placed; of those
lifted before, nobody knows when.
"""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE IF NOT EXISTS payment_hold_stretches (
    account_id uuid NOT NULL,
    service_id uuid NOT NULL,
    starts_ns bigint NOT NULL,
    ends_ns bigint CHECK (ends_ns >= starts_ns),
    PRIMARY KEY (account_id, service_id, starts_ns),
    FOREIGN KEY (account_id, service_id) REFERENCES services
);
CREATE UNIQUE INDEX IF NOT EXISTS payment_hold_stretches_open ON payment_hold_stretches (account_id, service_id)
    WHERE ends_ns IS NULL;
"""

STRETCHES = """
CREATE OR REPLACE FUNCTION begin_hold_stretch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM payment_hold_stretches WHERE account_id = NEW.account_id
                   AND service_id = NEW.service_id AND ends_ns IS NULL) THEN
        INSERT INTO payment_hold_stretches (account_id, service_id, starts_ns)
        VALUES (NEW.account_id, NEW.service_id, trunc(extract(epoch FROM NEW.placed_at) * 1000000)::bigint * 1000)
        ON CONFLICT (account_id, service_id, starts_ns) DO UPDATE SET ends_ns = NULL;
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER hold_begins AFTER INSERT ON service_holds
    FOR EACH ROW WHEN (NEW.cause = 'payment') EXECUTE FUNCTION begin_hold_stretch();

CREATE OR REPLACE FUNCTION end_hold_stretch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE payment_hold_stretches
    SET ends_ns = greatest(starts_ns, trunc(extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000)
    WHERE account_id = OLD.account_id AND service_id = OLD.service_id AND ends_ns IS NULL;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER hold_ends AFTER DELETE ON service_holds
    FOR EACH ROW WHEN (OLD.cause = 'payment') EXECUTE FUNCTION end_hold_stretch();
"""

RECOUNT = """
CREATE OR REPLACE FUNCTION recount_held_runs() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed_ns CONSTANT bigint := coalesce(NEW.ends_ns, NEW.starts_ns);
    hour_ns CONSTANT bigint := changed_ns - mod(changed_ns, 3600000000000);
BEGIN
    PERFORM FROM container_runs
    WHERE account_id = NEW.account_id AND service_id = NEW.service_id AND final_until_ns > hour_ns
      AND coalesce(finished_ns, seen_ns) > changed_ns
    ORDER BY account_id, service_id, incarnation FOR NO KEY UPDATE;
    UPDATE container_runs SET final_until_ns = hour_ns, closed_at = NULL
    WHERE account_id = NEW.account_id AND service_id = NEW.service_id AND final_until_ns > hour_ns
      AND coalesce(finished_ns, seen_ns) > changed_ns;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER recount_held_runs AFTER INSERT OR UPDATE ON payment_hold_stretches
    FOR EACH ROW EXECUTE FUNCTION recount_held_runs();
"""

# What was used since then is taken back by the next count, be it late.
HELD_NOW = """
INSERT INTO payment_hold_stretches (account_id, service_id, starts_ns)
SELECT account_id, service_id, trunc(extract(epoch FROM placed_at) * 1000000)::bigint * 1000
FROM service_holds WHERE cause = 'payment' ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(TABLE)
    op.execute(RECOUNT)
    op.execute(STRETCHES)
    op.execute(HELD_NOW)
