"""Response files of strangers: what they declare and where they lead is refused before it is read."""

import io
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest

from voxscale.dataset.response_files import open_responses, read_response_header
from voxscale.errors import UserError


def npy(shape):
    """The header of an npy file of float64."""
    content = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue()


def bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("data.npy", npy((1000, 5000)) + bytes(40_000_000))


def liar(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data.npy", npy((10**7, 5 * 10**6)) + bytes(800))


def liar_npy(path):
    path.write_bytes(npy((10**7, 5 * 10**6)) + bytes(800))


def huge(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (10**7, 5 * 10**6), "f8", chunks=(100, 100))


def loop(path):
    with h5py.File(path, "w") as file:
        file["data"], file["other"] = h5py.SoftLink("/other"), h5py.SoftLink("/data")


def external_storage(path):
    (path.parent.parent / "secret").write_bytes(bytes(800))
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (10, 10), "f8", external=[("../secret", 0, 800)])


def external_link(path):
    with h5py.File(path.parent.parent / "secret.h5", "w") as file:
        file["data"] = np.ones((10, 10))
    with h5py.File(path, "w") as file:
        file["data"] = h5py.ExternalLink("../secret.h5", "/data")


def virtual(path):
    layout = h5py.VirtualLayout((10, 10), "f8")
    layout[:] = h5py.VirtualSource("/etc/secret.h5", "data", (10, 10))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("data", layout)


CASES = {
    "x.npz": [(bomb, "declares"), (liar, "declares 400,000.0 GB")],
    "x.npy": [(liar_npy, "not a whole NumPy file")],
    "x.h5": [
        (huge, "declares 400,000.0 GB"),
        (loop, "cannot be opened|no dataset `data`"),
        (external_storage, "its values are in ../secret"),
        (external_link, "its values are in .*secret.h5"),
        (virtual, "its values are in /etc/secret.h5"),
    ],
}


@pytest.mark.parametrize(
    ("name", "make", "line"), [(name, *case) for name, cases in CASES.items() for case in cases]
)
def test_what_cannot_be_is_refused_unread(name, make, line, tmp_path):
    path = tmp_path / "dataset" / name
    path.parent.mkdir()
    make(path)
    tracemalloc.start()
    for read in (read_response_header, lambda files: open_responses(files).__enter__()):
        with pytest.raises(UserError, match=rf"{name}: .*({line})"):
            read([path])
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_file_linked_inside_the_folder_is_read(tmp_path):
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file["one"] = np.ones((10, 10))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["data"] = h5py.ExternalLink("all.h5", "/one")
    with open_responses([tmp_path / "x.h5"]) as found:
        assert found.data[:].sum() == 100
