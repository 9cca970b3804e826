"""Array literals must hold exactly what was put into them, whatever the text is."""

from uuid import UUID

from helvetia.database.array_literal import plain_array, text_array


def test_numbers_and_the_unknown_are_written_as_the_server_reads_them() -> None:
    assert plain_array([1, None, -(2**63)]) == "{1,NULL,-9223372036854775808}"
    assert plain_array([]) == "{}"
    assert plain_array([UUID(int=1)]) == "{00000000-0000-0000-0000-000000000001}"


def test_texts_are_quoted() -> None:
    assert text_array(['a"b', "c\\d", "NULL", ""]) == '{"a\\"b","c\\\\d","NULL",""}'
