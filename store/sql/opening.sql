-- name: list_schema
-- Everything the file declares, to be compared with what the migrations declare.
SELECT type, name, tbl_name, coalesce(sql, '') FROM main.sqlite_schema ORDER BY 1, 2, 3, 4;
