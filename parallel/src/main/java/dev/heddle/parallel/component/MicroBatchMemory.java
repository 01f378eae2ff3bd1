package dev.heddle.parallel.component;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the microbatches under way hold beside their graphs: outputs, rows that came and their
 * gradients. Given back microbatch by microbatch, so that the memory of a step does not grow with
 * their number.
 */
final class MicroBatchMemory {
  private final Device device;
  private final DType dtype;
  private final Map<Integer, List<NDArray>> held = new HashMap<>();

  MicroBatchMemory(Device device, DType dtype) {
    this.device = device;
    this.dtype = dtype;
  }

  Device device() {
    return device;
  }

  DType dtype() {
    return dtype;
  }

  /** An array of the model's type, not filled, that is given back with the microbatch. */
  NDArray make(int microBatch, Shape shape) {
    return hold(microBatch, NDArray.empty(device, dtype, shape));
  }

  /** Gives {@code array} back with the microbatch. */
  NDArray hold(int microBatch, NDArray array) {
    held.computeIfAbsent(microBatch, key -> new ArrayList<>()).add(array);
    return array;
  }

  /** Gives back what a microbatch holds of what {@code step} owns. */
  void giveBack(int microBatch, MemoryScope step) {
    // The same memory may be there by several names, where nothing had to move on a link; and what
    // a program handed through, such as a parameter, is not the step's to give back.
    Map<Block, NDArray> blocks = new IdentityHashMap<>();
    for (NDArray array : held.getOrDefault(microBatch, List.of())) {
      if (step.owns(array)) {
        blocks.put(array.block(), array);
      }
    }
    held.remove(microBatch);
    blocks.values().forEach(NDArray::free);
  }

  void clear() {
    held.clear();
  }
}
