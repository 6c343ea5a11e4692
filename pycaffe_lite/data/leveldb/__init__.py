"""LevelDB databases as Caffe keeps them, read and written without the LevelDB library.

A database is a folder. CURRENT names the MANIFEST, a log of edits that says which tables belong to the database
(`manifest`). Tables (.ldb, .sst) hold sorted entries in blocks (`table`, `block`). What was written last lies in
write-ahead logs only (.log; `log`, `batch`): with Caffe's write buffer of 256 MB that is often all there is. An entry
is put or deleted under a sequence number; the newest one of a key counts (`merge`).

The format is described in LevelDB's doc/table_format.md, doc/log_format.md and doc/impl.md.
"""

from pycaffe_lite.data.leveldb.reader import LevelDBReader
from pycaffe_lite.data.leveldb.writer import LevelDBWriter

__all__ = ["LevelDBReader", "LevelDBWriter"]
