package dev.heddle.parallel.component;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;

/**
 * Values that the host has for a program and that differ from step to step, such as pictures or
 * words. Usually they become an array when the program asks for them; {@linkplain #fix fixed}, they
 * are written at once into one that stays, so that recorded work finds those of its step there.
 */
public final class StagedArray {
  private final Device device;
  private final DType dtype;
  private final Map<Shape, NDArray> places = new HashMap<>();
  private boolean fixed;
  private Shape shape = Shape.of(0);
  private MemorySegment values = MemorySegment.NULL;

  /** Values of {@code dtype}, none staged. */
  public StagedArray(Device device, DType dtype) {
    this.device = device;
    this.dtype = dtype;
  }

  /**
   * From now on there is one array for each shape; it belongs to the scope that is open when a
   * shape is first staged.
   */
  public void fix() {
    fixed = true;
  }

  /** Values of F32, row-major; not copied, so they stay unchanged until the step is done. */
  public void stage(Shape newShape, float[] newValues) {
    stage(newShape, MemorySegment.ofArray(newValues));
  }

  /** Values of I64. */
  public void stage(Shape newShape, long[] newValues) {
    stage(newShape, MemorySegment.ofArray(newValues));
  }

  private void stage(Shape newShape, MemorySegment newValues) {
    long bytes = newShape.size() * dtype.byteSize();
    if (newValues.byteSize() < bytes) {
      throw new IllegalArgumentException(
          "staged array: got %d bytes for %s of %s, wanted %d"
              .formatted(newValues.byteSize(), dtype, newShape, bytes));
    }
    shape = newShape;
    values = newValues.asSlice(0, bytes);
    if (fixed) {
      places.computeIfAbsent(newShape, key -> NDArray.empty(device, dtype, key)).writeBytes(values);
    }
  }

  /** The shape of what is staged. */
  public Shape shape() {
    return shape;
  }

  /** What is staged, on the device; not to be changed. Needs an open scope if it is not fixed. */
  public NDArray array() {
    NDArray place = places.get(shape);
    if (place != null) {
      return place;
    }
    NDArray made = NDArray.empty(device, dtype, shape);
    made.writeBytes(values);
    return made;
  }
}
