"""What a checkpoint may cost its reader, in one place, each with what real ones need.

The numbers are for a file that was made to hurt: within them, reading and telling of it takes seconds and some 150 MB at
most. The largest RoBERTa that fairseq has, XLM-R XXL with its Adam state, stays below a third of each.
"""

MAX_OPERATIONS = 1_000_000  # of one pickle; a roberta-large training checkpoint has about 60,000
MAX_HEADER_OPERATIONS = 10_000  # of each of a legacy stream's first pickles, which have a few dozen
MAX_PICKLE_BYTES = 64 << 20  # roberta-large: 200 KB
MAX_TEXT_BYTES = 16 << 20  # text, bytes and integers of one pickle together; text can take four times that in memory
MAX_LINE_BYTES = 4096
MAX_INTEGER_BYTES = 64  # the largest in use are the 16 bytes of a random generator's state
MAX_MARKS = 10_000
MAX_KEY_CHARACTERS = 1024
MAX_CLASSES = 2_000  # different globals of one pickle; usual are ten to a hundred
MAX_CLASS_CHARACTERS = 512
MAX_TENSORS = 10_000  # 48 layers with Adam state have about 2,500
MAX_STORAGES = 10_000
MAX_DIMENSIONS = 16
MAX_COPIED_ENTRIES = 1_000_000  # by all `OrderedDict(pairs)` calls of one pickle together
MAX_SHARING = 4  # times the file's size that its tensors may claim together; only tied weights are ever shared

MAX_RECORDS = 20_000  # of a zip archive: one per storage
MAX_DIRECTORY_BYTES = 8 << 20  # an entry has about 90
MAX_RECORD_NAME_BYTES = 256
