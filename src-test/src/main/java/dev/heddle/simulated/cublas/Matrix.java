package dev.heddle.simulated.cublas;

import java.lang.foreign.MemorySegment;

/**
 * A column-major matrix in device memory.
 *
 * @param name for messages: A, B, C, D
 * @param address of its first element
 * @param leading elements from one column to the next
 */
record Matrix(String name, ElementType type, long address, long rows, long columns, long leading) {

  /** Checks what can be said without looking at memory. */
  void check() {
    Refusal.unless(rows > 0 && columns > 0, "%s has %d rows and %d columns", name, rows, columns);
    Refusal.unless(
        leading >= rows,
        "the leading dimension of %s is %d, less than its %d rows in memory",
        name,
        leading,
        rows);
    Refusal.unless(address != 0, "%s is null", name);
    Refusal.unless(
        address % type.byteSize() == 0,
        "%s at 0x%x is not aligned to its elements of %d bytes",
        name,
        address,
        type.byteSize());
  }

  /** The matrix {@code elements} further. */
  Matrix shifted(long elements) {
    long shifted = address + elements * type.byteSize();
    return new Matrix(name, type, shifted, rows, columns, leading);
  }

  private MemorySegment memory(GpuAccess.Memory gpu, String call) {
    long elements = (columns - 1) * leading + rows;
    return gpu.at(address, elements * type.byteSize(), call + " " + name);
  }

  /** Bytes of its values, without what lies between columns. */
  long valueBytes() {
    return rows * columns * type.byteSize();
  }

  /** Its values column by column, of the transposed matrix where asked. */
  double[] read(GpuAccess.Memory gpu, String call, boolean transposed) {
    MemorySegment memory = memory(gpu, call);
    int outer = Math.toIntExact(columns);
    int inner = Math.toIntExact(rows);
    double[] values = new double[Math.multiplyExact(outer, inner)];
    for (int column = 0; column < outer; column++) {
      for (int row = 0; row < inner; row++) {
        int at = transposed ? row * outer + column : column * inner + row;
        values[at] = type.read(memory, column * leading + row);
      }
    }
    return values;
  }

  /** Overwrites its values, given column by column; what lies between columns is left alone. */
  void write(GpuAccess.Memory gpu, String call, double[] values) {
    MemorySegment memory = memory(gpu, call);
    int inner = Math.toIntExact(rows);
    for (int column = 0; column < columns; column++) {
      for (int row = 0; row < inner; row++) {
        type.write(memory, column * leading + row, values[column * inner + row]);
      }
    }
  }
}
