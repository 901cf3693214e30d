"""Write `*_pb2.py`, `*_pb2.pyi` and the service stubs again from the `.proto` files here."""

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
SERVICES = "endpoint.proto"  # the only file with services


def generate(target: Path) -> int:
    """Run protoc twice: messages for every file, service stubs for one. 0 is success."""
    include = [f"-I{ROOT}", f"-I{files('grpc_tools') / '_proto'}"]
    schema = [str(path.relative_to(ROOT)) for path in sorted(FOLDER.glob("*.proto"))]
    messages = [f"--python_out={target}", f"--pyi_out={target}", *schema]
    services = [f"--grpc_python_out={target}", str((FOLDER / SERVICES).relative_to(ROOT))]
    return max(protoc.main(["protoc", *include, *what]) for what in (messages, services))


if __name__ == "__main__":
    sys.exit(generate(ROOT))
