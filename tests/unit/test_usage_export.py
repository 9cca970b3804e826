from helvetia.costs.export import COLUMNS, csv_lines, harmless, json_lines


def test_text_that_a_spreadsheet_would_run_is_made_harmless() -> None:
    for start in ("=", "+", "-", "@", "\t", "\r"):
        assert harmless(f"{start}cmd") == f"'{start}cmd"
    assert harmless("web-1") == "web-1"


def test_cells_with_commas_quotes_and_line_ends_stay_one_cell() -> None:
    assert csv_lines([('a,"b"\n', "c")]) == '"a,""b""\n",c\r\n'


def test_json_line_names_every_column() -> None:
    assert json_lines([tuple(COLUMNS)]).count("\n") == 1
