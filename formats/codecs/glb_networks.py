"""The networks of a GLB that flameport wrote. The layout is specified in `exporter/GLB.md` section 1.6."""

from formats.avatar import Network
from formats.codecs.glb import GlbDocument
from formats.codecs.json_file import Fields
from formats.errors import FormatError


def read_networks(document: GlbDocument, entry: Fields) -> dict[str, Network]:
    """Return the networks by name. Nothing of a graph is run or parsed here.

    Raises:
        FormatError: An entry lacks something, or its view is missing.
        UnsupportedFeature: An output or a space that this version does not know.
    """
    found = {}
    for name in entry.values:
        fields = entry.fields(name)
        inputs, outputs = (tuple(_value(value, f"{fields.where}: {key}[{i}]") for i, value in enumerate(fields.items(key)))
                           for key in ("inputs", "outputs"))
        for key, names in (("inputs", inputs), ("outputs", outputs)):
            if len(set(names)) != len(names) or key == "outputs" and not names:
                raise FormatError(f"{fields.where}: '{key}': expected different names, got {', '.join(names) or 'none'}")
        fields.choice("weights", ("float16", "float32"), "float32")
        found[name] = Network(document.view_bytes(fields.integer("bufferView")), inputs, outputs,
                              fields.choice("space", ("canonical", "posed")))
    return found


def _value(raw: object, where: str) -> str:
    value = Fields(raw, where)
    for size in value.items("shape"):
        if size is not None and (type(size) is not int or size < 1):
            raise FormatError(f"{where}: 'shape': expected positive sizes or null, got {size!r}")
    return value.text("name")
