"""The schema is Iroha 1.6's, and the stubs in the tree are the schema's."""

from ledger_client.proto import commands_pb2, endpoint_pb2, primitive_pb2, transaction_pb2
from ledger_client.proto.__main__ import FOLDER, generate

GOLDEN = bytes.fromhex(
    "0a460a2f82012c0a0a616c6963654062616e6b1208626f624062616e6b1a086b687223636264632204726566"
    "312a0434303030120a616c6963654062616e6b1880d095ffbc312001"
)


def test_the_generated_stubs_are_up_to_date(tmp_path):
    assert generate(tmp_path) == 0
    fresh = tmp_path / "ledger_client" / "proto"
    written = sorted(path.name for path in fresh.iterdir())
    assert written
    for name in written:
        assert (FOLDER / name).read_text() == (fresh / name).read_text(), name


def test_a_payload_seen_on_a_real_peer_is_read_and_written_byte_for_byte():
    payload = transaction_pb2.Transaction.Payload.FromString(GOLDEN)
    assert payload.SerializeToString() == GOLDEN
    transfer = payload.reduced_payload.commands[0].transfer_asset
    assert (transfer.src_account_id, transfer.amount) == ("alice@bank", "4000")


def test_numbers_that_history_made_odd_are_right():
    assert primitive_pb2.can_get_blocks == 42
    assert primitive_pb2.root == 47
    assert primitive_pb2.can_transfer_my_assets == 4
    assert endpoint_pb2.NOT_RECEIVED == 7
    fields = commands_pb2.Command.DESCRIPTOR.fields_by_name
    assert (fields["transfer_asset"].number, fields["call_engine"].number) == (16, 20)
    batch = transaction_pb2.Transaction.Payload.DESCRIPTOR.fields_by_name["batch"]
    assert batch.number == 5
