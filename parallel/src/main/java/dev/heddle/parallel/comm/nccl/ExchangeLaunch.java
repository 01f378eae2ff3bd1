package dev.heddle.parallel.comm.nccl;

import dev.heddle.bindings.nccl.Nccl;
import dev.heddle.parallel.comm.Message;
import dev.heddle.runtime.NDArray;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Turns the messages of one exchange into groups of NCCL's sends and receives. */
final class ExchangeLaunch {
  private record Transfer(NDArray flat, Message message) {}

  private final NcclOperation operation;
  private final NcclGroup group;
  private final int me;
  private final Packing packing;
  private final Map<NativeCommunicator, List<Transfer>> transfers = new LinkedHashMap<>();

  ExchangeLaunch(NcclOperation operation, NcclGroup group, int me) {
    this.operation = operation;
    this.group = group;
    this.me = me;
    this.packing = new Packing(operation);
  }

  /** Adds a message to or from another rank, packing what it sends. */
  void add(Message message) {
    if (message.elementCount() == 0) {
      return;
    }
    NDArray flat = message.isSend() ? packing.sent(message) : packing.received(message);
    int from = message.isSend() ? me : message.peer();
    int to = message.isSend() ? message.peer() : me;
    transfers
        .computeIfAbsent(group.between(from, to), key -> new ArrayList<>())
        .add(new Transfer(flat, message));
  }

  /** Launches all messages, those of one communicator as one group. */
  void launch(long timeoutNanos) {
    for (Map.Entry<NativeCommunicator, List<Transfer>> entry : transfers.entrySet()) {
      NativeCommunicator nccl = entry.getKey();
      List<Transfer> part = entry.getValue();
      operation.add(
          nccl.launch(
              operation,
              timeoutNanos,
              (communicator, stream) -> {
                for (Transfer transfer : part) {
                  move(nccl, transfer, communicator, stream);
                }
              }));
    }
  }

  private static void move(
      NativeCommunicator nccl,
      Transfer transfer,
      MemorySegment communicator,
      MemorySegment stream) {
    NDArray flat = transfer.flat;
    Message message = transfer.message;
    MemorySegment memory = MemorySegment.ofAddress(flat.address());
    int type = NcclLibrary.type(flat.dtype());
    int peer = message.peer();
    if (message.isSend()) {
      int status = Nccl.ncclSend(memory, flat.size(), type, peer, communicator, stream);
      nccl.check(status, "ncclSend");
    } else {
      int status = Nccl.ncclRecv(memory, flat.size(), type, peer, communicator, stream);
      nccl.check(status, "ncclRecv");
    }
  }
}
