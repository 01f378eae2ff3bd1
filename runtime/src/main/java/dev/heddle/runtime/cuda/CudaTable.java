package dev.heddle.runtime.cuda;

import dev.heddle.runtime.Device;
import dev.heddle.runtime.memory.Block;
import java.lang.foreign.MemorySegment;

/**
 * Where many arrays lie, for a kernel that works on all of them in one launch: rows of 64-bit
 * numbers, written anew for each call and sent to the GPU with it. The host's memory for it is
 * kept, so that calls of steady size make no garbage.
 */
final class CudaTable {
  private long[] values = new long[0];
  private MemorySegment segment = MemorySegment.ofArray(values);
  private int length;

  /** Begins a table of at most {@code most} numbers. */
  CudaTable start(int most) {
    if (values.length < most) {
      values = new long[most];
      segment = MemorySegment.ofArray(values);
    }
    length = 0;
    return this;
  }

  CudaTable add(long value) {
    values[length++] = value;
    return this;
  }

  int length() {
    return length;
  }

  long byteSize() {
    return (long) length * Long.BYTES;
  }

  /** Queues the copy to the GPU, into {@code block} from byte {@code offset} on. */
  void upload(Device device, Block block, long offset) {
    device.copyFromHost(segment.asSlice(0, byteSize()), block, offset);
  }
}
