package dev.heddle.simulated.cublas;

import org.jspecify.annotations.Nullable;

/**
 * One checked product with everything that it needs when the stream gets to it: D = epilogue(alpha
 * op(A) op(B) + beta C), C and D being one matrix, for each index of a batch.
 *
 * @param call the C function, for messages
 * @param epilogue null for cuBLAS, which has none
 * @param bias the epilogue's vector as a matrix of one column, or null
 * @param auxiliary the epilogue's other output, or null
 * @param workspace address of the scratch that the algorithm uses, as many bytes as follow
 */
record Product(
    String call,
    ComputeType computeType,
    Matrix a,
    boolean transposeA,
    Matrix b,
    boolean transposeB,
    Matrix d,
    double alpha,
    double beta,
    long batch,
    long strideA,
    long strideB,
    long strideD,
    @Nullable Epilogue epilogue,
    @Nullable Matrix bias,
    @Nullable Matrix auxiliary,
    long workspace,
    long workspaceBytes) {

  private static final byte SCRIBBLE = (byte) 0xFF;

  /** Checks sizes, leading dimensions, pointers and the batch. */
  void check() {
    a.check();
    b.check();
    d.check();
    Refusal.unless(
        depth() == (transposeB ? b.columns() : b.rows()),
        "op(A) has %d columns, op(B) %d rows",
        depth(),
        transposeB ? b.columns() : b.rows());
    Refusal.unless(
        (transposeA ? a.columns() : a.rows()) == d.rows()
            && (transposeB ? b.rows() : b.columns()) == d.columns(),
        "D is [%d,%d], which is not the size of op(A) op(B)",
        d.rows(),
        d.columns());
    Refusal.unless(batch > 0, "a batch of %d", batch);
    if (batch > 1) {
      Refusal.unless(strideA >= 0 && strideB >= 0, "negative batch strides are not simulated");
      boolean apart = strideD >= (d.columns() - 1) * d.leading() + d.rows();
      boolean interleaved = strideD >= d.rows() && d.leading() >= (batch - 1) * strideD + d.rows();
      Refusal.unless(
          apart || interleaved,
          "the matrices C of the batch overlap: stride %d, leading dimension %d, [%d,%d]",
          strideD,
          d.leading(),
          d.rows(),
          d.columns());
    }
    if (bias != null) {
      bias.check();
    }
    if (auxiliary != null) {
      auxiliary.check();
    }
  }

  private long depth() {
    return transposeA ? a.rows() : a.columns();
  }

  /**
   * Gives it to a stream.
   *
   * @return the status of the call
   */
  int enqueue(GpuAccess gpu, long stream) {
    String what =
        "%s of [%d,%d,%d]%s"
            .formatted(call, d.rows(), d.columns(), depth(), batch > 1 ? " x " + batch : "");
    int status = gpu.enqueue(stream, call, what, this::run);
    if (status != 0) {
      throw Refusal.failed("the stream 0x%x does not take it: CUresult %d", stream, status);
    }
    return 0;
  }

  /** Computes it; faults name the call and the matrix. */
  private void run(GpuAccess.Memory gpu) {
    if (workspaceBytes > 0) {
      // Whoever keeps something there, or lets two streams use it, is to notice.
      gpu.at(workspace, workspaceBytes, call + " workspace").fill(SCRIBBLE);
    }
    gpu.moves(bytesRead(), bytesWritten());
    for (long i = 0; i < batch; i++) {
      multiply(gpu, a.shifted(i * strideA), b.shifted(i * strideB), d.shifted(i * strideD));
    }
  }

  /** Operands that are broadcast over the batch are read once. */
  private long bytesRead() {
    long bytes = a.valueBytes() * (strideA == 0 ? 1 : batch);
    bytes += b.valueBytes() * (strideB == 0 ? 1 : batch);
    bytes += beta == 0 ? 0 : d.valueBytes() * batch;
    if (bias != null && epilogue != null && epilogue.adds()) {
      bytes += bias.valueBytes();
    }
    return bytes;
  }

  private long bytesWritten() {
    long bytes = d.valueBytes() * batch;
    bytes += auxiliary == null ? 0 : auxiliary.valueBytes();
    if (bias != null && epilogue != null && epilogue.gradient() != Epilogue.Gradient.NONE) {
      bytes += bias.valueBytes();
    }
    return bytes;
  }

  private void multiply(GpuAccess.Memory gpu, Matrix left, Matrix right, Matrix to) {
    int m = Math.toIntExact(to.rows());
    int n = Math.toIntExact(to.columns());
    int k = Math.toIntExact(depth());
    double[] leftValues = left.read(gpu, call, transposeA);
    double[] rightValues = right.read(gpu, call, transposeB);
    double[] values = computeType.multiply(leftValues, rightValues, m, n, k);
    double[] before = beta == 0 ? values : to.read(gpu, call, false);
    for (int i = 0; i < values.length; i++) {
      values[i] = computeType.combine(alpha, values[i], beta, before[i]);
    }
    if (epilogue != null) {
      finish(gpu, epilogue, leftValues, rightValues, values);
    }
    to.write(gpu, call, values);
  }

  private void finish(
      GpuAccess.Memory gpu, Epilogue how, double[] left, double[] right, double[] values) {
    int m = Math.toIntExact(d.rows());
    if (bias != null && how.adds()) {
      double[] shift = bias.read(gpu, call, false);
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) (values[i] + shift[i % m]);
      }
    }
    if (auxiliary != null) {
      auxiliary.write(gpu, call, values);
    }
    for (int i = 0; i < values.length; i++) {
      values[i] = how.activate(values[i]);
    }
    if (bias != null && how.gradient() != Epilogue.Gradient.NONE) {
      boolean ofA = how.gradient() == Epilogue.Gradient.A;
      bias.write(gpu, call, ofA ? sumsOfA(left) : sumsOfB(right));
    }
  }

  /** op(A) [m,k] summed over k. */
  private double[] sumsOfA(double[] left) {
    int m = Math.toIntExact(d.rows());
    float[] sums = new float[m];
    for (int i = 0; i < left.length; i++) {
      sums[i % m] += (float) left[i];
    }
    return doubles(sums);
  }

  /** op(B) [k,n] summed over k. */
  private double[] sumsOfB(double[] right) {
    int k = Math.toIntExact(depth());
    float[] sums = new float[Math.toIntExact(d.columns())];
    for (int i = 0; i < right.length; i++) {
      sums[i / k] += (float) right[i];
    }
    return doubles(sums);
  }

  private static double[] doubles(float[] values) {
    double[] result = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      result[i] = values[i];
    }
    return result;
  }
}
