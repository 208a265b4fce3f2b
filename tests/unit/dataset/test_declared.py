"""Response files of strangers: what they declare and where they lead is refused before it is read."""

import io
import tracemalloc
import zipfile

import h5py
import nibabel
import numpy as np
import pytest

from voxscale.dataset.images import Reading
from voxscale.dataset.response_files import open_responses, read_response_header
from voxscale.errors import UserError


def npy(shape):
    """The header of an npy file of float64."""
    content = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue()


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


def mapped(path, name="data", shape=None):
    """A virtual dataset of all of a source, which is there if it has a shape."""
    if shape:
        with h5py.File(path.with_name("part.h5"), "w") as file:
            file[name] = np.ones(shape)
    layout = h5py.VirtualLayout((10, 10), "f8")
    layout[:] = h5py.VirtualSource("part.h5", "data", (10, 10))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("data", layout)


def without_its_source(path):
    mapped(path)


def without_its_source_dataset(path):
    mapped(path, "other", (10, 10))


def of_a_short_source(path):
    mapped(path, shape=(5, 10))


def mapped_from_itself(path):
    layout = h5py.VirtualLayout((10, 10), "f8")
    layout[:] = h5py.VirtualSource(path.name, "data", (10, 10))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("data", layout)


def of_a_cut_source(path):
    mapped(path, shape=(10, 10))
    part = path.with_name("part.h5")
    part.write_bytes(part.read_bytes()[:1500])


def without_its_raw_file(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (10, 10), "f8", external=[(str(path.with_name("raw")), 0, 800)])


def empty(path):
    with h5py.File(path, "w") as file:
        file["data"] = h5py.Empty("f4")


def group_of_repeats(path):
    with h5py.File(path, "w") as file:
        file["data"], file["individual_repeats/one"] = np.ones((10, 10)), np.ones((10, 10))


def with_bytes(path, local, central, value):
    """An npz file with a byte changed in both headers of its member."""
    np.savez(path, data=np.ones((10, 10)))
    content = bytearray(path.read_bytes())
    content[content.find(b"PK\x03\x04") + local] = value
    content[content.find(b"PK\x01\x02") + central] = value
    path.write_bytes(content)


def encrypted(path):
    with_bytes(path, 6, 8, 1)


def of_another_method(path):
    with_bytes(path, 8, 10, 97)


CASES = {
    "x.npz": [
        (liar, "declares 400,000.00 GB of values, but the file has [0-9,]+ bytes"),
        (encrypted, "encrypted"),
        (of_another_method, "compression method"),
    ],
    "x.npy": [(liar_npy, "not a whole NumPy file")],
    "x.h5": [
        (huge, "declares 400,000.00 GB"),
        (loop, "cannot be opened|no dataset `data`"),
        (external_storage, "its values are in ../secret"),
        (external_link, "its values are in .*secret.h5"),
        (virtual, "its values are in /etc/secret.h5"),
        (without_its_source, "its values are in part.h5, which is missing"),
        (without_its_source_dataset, "its values are in dataset data of part.h5, which is missing"),
        (
            of_a_short_source,
            "its values are in dataset data of part.h5, which is missing, damaged or too short",
        ),
        (mapped_from_itself, "its values are in .*x.h5, which is missing, damaged"),
        (of_a_cut_source, "its values are in part.h5, which is missing, damaged"),
        (without_its_raw_file, "its values are in .*raw, which is missing"),
        (empty, "its `data` is not an array"),
        (group_of_repeats, "its `individual_repeats` is not an array"),
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


def test_a_virtual_dataset_with_its_source_is_read(tmp_path):
    mapped(tmp_path / "x.h5", shape=(10, 10))
    with open_responses([tmp_path / "x.h5"]) as found:
        assert found.data[:].sum() == 100


def test_images_of_a_small_region_are_read(tmp_path):
    rng = np.random.default_rng(0)
    inside, values = np.zeros((40, 40, 40), np.uint8), np.zeros((40, 40, 40, 50), np.float32)
    inside[20:22, 20:22, 20:24] = 1
    values[inside == 1] = rng.standard_normal((16, 50))
    paths = [tmp_path / "mask.nii.gz", tmp_path / "x.nii.gz"]
    for path, array in zip(paths, (inside, values), strict=True):
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
    assert values.nbytes > 200 * paths[1].stat().st_size
    with open_responses(paths[1:], Reading(masks=(paths[0],))) as found:
        np.testing.assert_array_equal(found.data, values[inside == 1].T)
