#!/usr/bin/env python3
# sqlite3: a load and queries in memory, then a database file that must be equal to the byte.
import os
import shutil
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/victims")
from run_victim import *

SQLITE = shutil.which("sqlite3")
LOAD = """
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL, kind INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
  INSERT INTO item SELECT i, printf('item-%%08d', (i * 2654435761) %% 4294967296),
                          (i * 7919 %% 100003) / 7.0, i %% 97 FROM n;
CREATE INDEX item_name ON item(name);
CREATE INDEX item_kind ON item(kind, price);
SELECT count(*), min(name), max(name), round(sum(price), 3) FROM item;
SELECT kind, count(*), round(avg(price), 4) FROM item GROUP BY kind ORDER BY 3 DESC LIMIT 20;
SELECT a.id, b.id FROM item a JOIN item b ON b.kind = a.kind AND b.price > a.price
  WHERE a.id BETWEEN 100 AND 110 ORDER BY b.price, b.id LIMIT 50;
UPDATE item SET name = upper(name) || '-x' WHERE kind IN (3, 5, 7);
DELETE FROM item WHERE id %% 11 = 0;
SELECT group_concat(name, ',') FROM (SELECT name FROM item WHERE kind = 5 ORDER BY name LIMIT 200);
SELECT length(group_concat(name)) FROM item;
"""
ERRORS = "SELECT nothing FROM nowhere;\nSELECT 1/0, abs('x');\nINSERT INTO;\n"

compare("sqlite3 in memory, 300 k rows", [SQLITE, "-batch", ":memory:"], input=LOAD % 300000)
compare("sqlite3 with a file", [SQLITE, "-batch", "a.db"],
        input="PRAGMA journal_mode=WAL;\n" + LOAD % 20000 + "VACUUM;\n.dump\n")
compare("sqlite3 with errors", [SQLITE, "-batch", ":memory:"], input=ERRORS, status=1)
