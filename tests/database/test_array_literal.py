"""The server reads from an array literal exactly what was put into it."""

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helvetia.database.array_literal import copy_text, plain_array, text_array

TEXTS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
NUMBERS = st.lists(st.none() | st.integers(-(2**63), 2**63 - 1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, numbers=NUMBERS)
def test_any_column_comes_back_as_it_was_written(server_url: str, texts: list[str], numbers: list[int | None]) -> None:
    with psycopg.connect(server_url) as connection:
        values = (text_array(texts), plain_array(numbers))
        assert connection.execute("SELECT %s::text[], %s::bigint[]", values).fetchone() == (texts, numbers)
        written = plain_array([True, None, False])
        assert connection.execute("SELECT %s::boolean[]", (written,)).fetchone() == ([True, None, False],)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS)
def test_any_text_comes_back_from_a_copy_as_it_was_written(server_url: str, texts: list[str]) -> None:
    with psycopg.connect(server_url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE copied (place integer, value text) ON COMMIT DROP")
        with cursor.copy("COPY copied FROM STDIN") as copy:
            copy.write("".join(f"{place}\t{copy_text(text)}\n" for place, text in enumerate(texts)))
        cursor.execute("SELECT value FROM copied ORDER BY place")
        assert [value for (value,) in cursor.fetchall()] == texts
