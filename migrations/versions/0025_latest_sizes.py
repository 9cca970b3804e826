"""Each holder knows its latest size, so that what is held now is asked of one row a holder, not of days of readings.

It changes in the same statement as the readings, whoever writes them. Code of before this goes on as it did.
"""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE storage_holders ADD COLUMN IF NOT EXISTS sized_ns bigint;
ALTER TABLE storage_holders ADD COLUMN IF NOT EXISTS size_bytes bigint;
"""

# A reading that is told twice or late is no newer; one that was corrected where it stands counts as it stands now.
TRIGGERS = """
CREATE OR REPLACE FUNCTION keep_latest_size() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE storage_holders h SET sized_ns = n.sampled_ns, size_bytes = n.size_bytes
    FROM (SELECT DISTINCT ON (account_id, service_id, holder) account_id, service_id, holder, sampled_ns, size_bytes
          FROM written ORDER BY account_id, service_id, holder, sampled_ns DESC) AS n
    WHERE h.account_id = n.account_id AND h.service_id = n.service_id AND h.holder = n.holder
      AND (h.sized_ns IS NULL OR h.sized_ns <= n.sampled_ns);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER latest_size_of_new AFTER INSERT ON storage_readings
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION keep_latest_size();
CREATE OR REPLACE TRIGGER latest_size_of_changed AFTER UPDATE ON storage_readings
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION keep_latest_size();
"""

FORMER = """
UPDATE storage_holders h SET sized_ns = latest.sampled_ns, size_bytes = latest.size_bytes
FROM storage_holders o CROSS JOIN LATERAL (
    SELECT r.sampled_ns, r.size_bytes FROM storage_readings r
    WHERE r.account_id = o.account_id AND r.service_id = o.service_id AND r.holder = o.holder
    ORDER BY r.sampled_ns DESC LIMIT 1
) AS latest
WHERE o.gone_ns IS NULL AND h.account_id = o.account_id AND h.service_id = o.service_id AND h.holder = o.holder
  AND (h.sized_ns IS NULL OR h.sized_ns < latest.sampled_ns)
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(COLUMNS)
    op.execute(TRIGGERS)
    op.execute(FORMER)
