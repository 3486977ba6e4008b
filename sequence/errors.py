"""What can go wrong below the models.

SequenceError
├── ArtifactError        a weights folder cannot be used
│   ├── ArtifactMissing  there is no weights folder, or a file of it is not there
│   └── ArtifactDamaged  a file is not the one its manifest names
├── CheckpointError      a checkpoint belongs to another training
└── DeviceError          the device asked for is not on this machine
"""

from __future__ import annotations


class SequenceError(Exception):
    """Anything this room raises on purpose."""

    code = "sequence_error"


class ArtifactError(SequenceError):
    """A weights folder cannot be used."""

    code = "artifact_error"


class ArtifactMissing(ArtifactError):
    """There is no weights folder there, or a file of it is missing."""

    code = "artifact_missing"


class ArtifactDamaged(ArtifactError):
    """A file of a weights folder is not the one its manifest names."""

    code = "artifact_damaged"


class CheckpointError(SequenceError):
    """A checkpoint cannot be resumed: it belongs to another model or another training."""

    code = "checkpoint_error"


class DeviceError(SequenceError):
    """The device asked for is not on this machine."""

    code = "device_error"
