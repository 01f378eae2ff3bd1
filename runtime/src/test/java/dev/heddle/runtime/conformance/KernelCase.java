package dev.heddle.runtime.conformance;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.jspecify.annotations.Nullable;

/**
 * One call of one primitive: its arguments' shapes, values and places in memory. {@link #check}
 * runs it on the devices under test and on the reference kernels in F64 and compares:
 *
 * <ul>
 *   <li>outputs, which start as NaN, agree within {@link #tolerance} of the control;
 *   <li>inputs, and the padding around every argument, have the bits they had before;
 *   <li>one thread and two give the same bits.
 * </ul>
 */
public final class KernelCase {
  /** The call, given the table and the arguments in the order they were declared. */
  @FunctionalInterface
  public interface Call {
    /** Calls one primitive. */
    void run(Kernels kernels, NDArray[] arguments);
  }

  private enum Role {
    INPUT,
    OUTPUT,
    IN_OUT
  }

  /** The dtype of an argument, given that of the table it is passed to. */
  private record Argument(
      Role role,
      UnaryOperator<DType> type,
      Placement placement,
      Shape shape,
      double @Nullable [] values) {}

  private static final UnaryOperator<DType> TABLE = UnaryOperator.identity();

  /** What padding holds around what is written; 76 is exact in every dtype. */
  private static final double OUTPUT_PADDING = 76;

  private static final double INTEGER_POISON = 99;
  private static final long SEED = Long.getLong("heddle.seed", 20260727);

  private final List<Device> subjects;
  private final Device control;
  private final DType dtype;
  private final String description;
  private final RandomGenerator random;
  private final List<Argument> arguments = new ArrayList<>();
  private double tolerance;
  private double leastScale;

  KernelCase(
      List<Device> subjects, Device control, DType dtype, double tolerance, String description) {
    this.subjects = subjects;
    this.control = control;
    this.dtype = dtype;
    this.tolerance = tolerance;
    this.description = description;
    this.random =
        RandomGeneratorFactory.of("L64X128MixRandom").create(SEED ^ description.hashCode());
  }

  // ---- arguments

  /** An input of normally distributed values. */
  public KernelCase input(Placement placement, long... dims) {
    return input(placement, Shape.of(dims), normal(Shape.of(dims).size()));
  }

  /** An input with the given row-major values, rounded to the dtype under test. */
  public KernelCase input(Placement placement, Shape shape, double... values) {
    return add(Role.INPUT, TABLE, placement, shape, values);
  }

  /** An input of the accumulation type. */
  public KernelCase statistic(Shape shape, double... values) {
    return add(Role.INPUT, DType::accumulation, Placement.CONTIGUOUS, shape, values);
  }

  /** An I64 vector. */
  public KernelCase longs(long... values) {
    double[] copy = Arrays.stream(values).asDoubleStream().toArray();
    return add(Role.INPUT, table -> DType.I64, Placement.CONTIGUOUS, Shape.of(values.length), copy);
  }

  /** An I32 vector. */
  public KernelCase ints(long... values) {
    double[] copy = Arrays.stream(values).asDoubleStream().toArray();
    return add(Role.INPUT, table -> DType.I32, Placement.CONTIGUOUS, Shape.of(values.length), copy);
  }

  /** An output, poisoned before the call. */
  public KernelCase output(Placement placement, long... dims) {
    return add(Role.OUTPUT, TABLE, placement, Shape.of(dims), null);
  }

  /** An output of the accumulation type. */
  public KernelCase outputStatistic(long... dims) {
    return add(Role.OUTPUT, DType::accumulation, Placement.CONTIGUOUS, Shape.of(dims), null);
  }

  /** An I64 output. */
  public KernelCase outputLongs(long size) {
    return add(Role.OUTPUT, table -> DType.I64, Placement.CONTIGUOUS, Shape.of(size), null);
  }

  /** An argument that is read and then overwritten or added to; normally distributed values. */
  public KernelCase inOut(Placement placement, long... dims) {
    return inOut(placement, Shape.of(dims), normal(Shape.of(dims).size()));
  }

  /** An argument that is read and then overwritten or added to. */
  public KernelCase inOut(Placement placement, Shape shape, double... values) {
    return add(Role.IN_OUT, TABLE, placement, shape, values);
  }

  /** An argument of the accumulation type that is read and then overwritten. */
  public KernelCase inOutStatistic(Shape shape, double... values) {
    return add(Role.IN_OUT, DType::accumulation, Placement.CONTIGUOUS, shape, values);
  }

  private KernelCase add(
      Role role,
      UnaryOperator<DType> type,
      Placement placement,
      Shape shape,
      double @Nullable [] values) {
    if (values != null && values.length != shape.size()) {
      throw new IllegalArgumentException(
          description + ": " + values.length + " values for shape " + shape);
    }
    arguments.add(new Argument(role, type, placement, shape, values));
    return this;
  }

  /** An input of a dtype of its own, whatever the table's. */
  public KernelCase inputOf(DType type, Placement placement, Shape shape, double... values) {
    return add(Role.INPUT, table -> type, placement, shape, values);
  }

  /** An output of a dtype of its own, whatever the table's. */
  public KernelCase outputOf(DType type, Placement placement, Shape shape) {
    return add(Role.OUTPUT, table -> type, placement, shape, null);
  }

  /** Outputs must have the very values of the control, rounded to the dtype. */
  public KernelCase exact() {
    return tolerance(0);
  }

  /** Loosens or tightens the comparison, relative to the default of the dtype. */
  public KernelCase tolerance(double factor) {
    tolerance *= factor;
    return this;
  }

  /**
   * Each element of an output is the sum of so many terms of variance one. It is held to the size
   * that such a sum has, even where all of the few there are happen to cancel: the error does not.
   */
  public KernelCase terms(long count) {
    leastScale = Math.sqrt(count);
    return this;
  }

  /** Standard normal values, the same for the same case. */
  public double[] normal(long count) {
    return random.doubles(count, 0, 1).map(u -> random.nextGaussian()).toArray();
  }

  // ---- running

  /** The values of all arguments after the call on the reference kernels in F64. */
  public double[][] expected(Call call) {
    return run(control, DType.F64, true, call);
  }

  /** Runs the call everywhere and compares. */
  public void check(Call call) {
    double[][] wanted = expected(call);
    double[][] first = run(subjects.get(0), dtype, false, call);
    for (int i = 0; i < arguments.size(); i++) {
      if (arguments.get(i).role() != Role.INPUT) {
        compare(i, first[i], wanted[i]);
      }
    }
    for (Device other : subjects.subList(1, subjects.size())) {
      double[][] again = run(other, dtype, false, call);
      for (int i = 0; i < arguments.size(); i++) {
        sameBits(again[i], first[i], "argument " + i + " on " + other + " and " + subjects.get(0));
      }
    }
  }

  private double[][] run(Device device, DType table, boolean packed, Call call) {
    try (MemoryScope scope = MemoryScope.open()) {
      int count = arguments.size();
      Placement.Placed[] placed = new Placement.Placed[count];
      NDArray[] views = new NDArray[count];
      int[][] positions = new int[count][];
      double[][] before = new double[count][];
      for (int i = 0; i < count; i++) {
        Argument argument = arguments.get(i);
        boolean repack = packed && argument.placement() != Placement.BROADCAST_FIRST;
        Placement placement = repack ? Placement.CONTIGUOUS : argument.placement();
        placed[i] = placement.place(device, argument.type().apply(table), argument.shape());
        views[i] = placed[i].view();
        positions[i] = placed[i].positions();
        before[i] = initial(argument, placed[i], positions[i]);
        placed[i].base().writeDoubles(before[i]);
      }
      call.run(device.kernels(table), views);
      double[][] results = new double[count][];
      for (int i = 0; i < count; i++) {
        double[] after = placed[i].base().toDoubles();
        results[i] = new double[positions[i].length];
        for (int j = 0; j < results[i].length; j++) {
          results[i][j] = after[positions[i][j]];
          if (arguments.get(i).role() != Role.INPUT) {
            after[positions[i][j]] = before[i][positions[i][j]];
          }
        }
        sameBits(after, before[i], "inputs and padding of argument " + i + " on " + device);
      }
      return results;
    }
  }

  private double[] initial(Argument argument, Placement.Placed placed, int[] positions) {
    double[] base = new double[Math.toIntExact(placed.base().size())];
    DType type = argument.type().apply(dtype);
    boolean poisonPadding = argument.role() == Role.INPUT && type.isFloating();
    Arrays.fill(base, poisonPadding ? Double.NaN : OUTPUT_PADDING);
    for (int i = 0; i < positions.length; i++) {
      double[] values = argument.values();
      double poison = type.isFloating() ? Double.NaN : INTEGER_POISON;
      base[positions[i]] = values == null ? poison : round(type, values[i]);
    }
    return base;
  }

  /** {@code value} rounded to {@code dtype}. */
  public static double round(DType dtype, double value) {
    return switch (dtype) {
      case F32 -> (float) value;
      case F64 -> value;
      case BF16 -> DType.bf16ToFloat(DType.floatToBf16((float) value));
      case I32 -> (int) value;
      case I64 -> (long) value;
      case U8 -> (int) value & 0xff;
    };
  }

  // ---- comparing

  private void compare(int index, double[] got, double[] wanted) {
    Argument argument = arguments.get(index);
    double scale = Math.max(rootMeanSquare(wanted), leastScale);
    for (int i = 0; i < wanted.length; i++) {
      double want = round(argument.type().apply(dtype), wanted[i]);
      double bound = tolerance * (Math.abs(want) + scale);
      boolean agrees =
          Double.isFinite(want)
              ? Math.abs(got[i] - want) <= bound
              : Double.compare(got[i], want) == 0;
      if (!agrees) {
        throw new AssertionError(
            this
                + ": argument "
                + index
                + " "
                + argument.shape()
                + " ("
                + argument.placement()
                + ") on "
                + subjects.get(0)
                + ": element "
                + i
                + " is "
                + got[i]
                + ", wanted "
                + want
                + " within "
                + bound);
      }
    }
  }

  private static double rootMeanSquare(double[] values) {
    double sum = 0;
    int count = 0;
    for (double value : values) {
      if (Double.isFinite(value) && Math.abs(value) < 1e30) {
        sum += value * value;
        count++;
      }
    }
    return count == 0 ? 0 : Math.sqrt(sum / count);
  }

  private void sameBits(double[] got, double[] wanted, String what) {
    for (int i = 0; i < wanted.length; i++) {
      if (Double.doubleToLongBits(got[i]) != Double.doubleToLongBits(wanted[i])) {
        throw new AssertionError(
            this
                + ": "
                + what
                + " must have the same bits: element "
                + i
                + " is "
                + got[i]
                + ", wanted "
                + wanted[i]);
      }
    }
  }

  @Override
  public String toString() {
    return description + " in " + dtype + " (replay with -Dheddle.seed=" + SEED + ")";
  }
}
