package dev.heddle.runtime.machine;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A function of neighbouring values, written down an operation after the other, that becomes
 * machine code: a loop over vectors of 16 values of up to five arrays, F32 or bf16, which are read
 * and written where they lie. Operations are those of the processor, so the same ones in Java's
 * Vector API have the same bits.
 *
 * <p>There is nothing to be compiled while a program runs: it is as fast the first time as the
 * thousandth, where C2 takes half a second for a function of forty operations, which makes objects
 * of all vectors until then, and for good if it is longer than the compiler inlines. Two vectors
 * are under way side by side, because each waits for most of what it does.
 *
 * <p>A value is written once and lives until it is last used; that is all that finding registers
 * takes. Constants stay in registers as far as there are some left.
 */
public final class VectorProgram {
  /** What an array holds. Values are F32 in either case. */
  public enum Type {
    F32(4),
    BF16(2);

    private final int bytes;

    Type(int bytes) {
      this.bytes = bytes;
    }

    /** Bytes of an element. */
    public int bytes() {
      return bytes;
    }
  }

  /** Arrays of a program at most. */
  public static final int MAX_ARRAYS = 5;

  /** Numbers of a table. */
  public static final int TABLE = 32;

  /** Arrays of a program over rows at most. */
  public static final int MAX_ROW_ARRAYS = 8;

  /** Values of a vector. */
  static final int LANES = 16;

  /** A value of the program: 16 lanes. */
  public static final class Value {
    private final int number;

    private Value(int number) {
      this.number = number;
    }
  }

  enum Code {
    LOAD,
    CONSTANT,
    CONSTANTS,
    ADD,
    SUBTRACT,
    MULTIPLY,
    DIVIDE,
    SQUARE_ROOT,
    MAXIMUM,
    MULTIPLY_ADD,
    ADD_BITS,
    AND_BITS,
    OR_BITS,
    SHIFT_UP,
    SHIFT_DOWN,
    SELECT,
    LOOK_UP,
    STORE,
    STORE_UPPER_HALVES,
    STORE_ROUNDED,
    ADD_TO_SUM,
    ADD_PRODUCT_TO_SUM,
    RAISE_MAXIMUM
  }

  /**
   * An operation.
   *
   * @param result the number of the value that it makes; of stores none, -1
   * @param operands numbers of values
   * @param extra the array, the first word of the constant or constants, the bits to shift by, the
   *     comparison, or the running sum
   */
  record Operation(Code code, int result, int[] operands, int extra) {}

  // Comparisons as vcmpps numbers them; false where one is not a number, but for the last.
  private static final int LESS = 0x11;
  private static final int GREATER = 0x1E;
  private static final int UNORDERED = 3;

  private static final int BF16_SHIFT = 16;

  /** Which bits of a word are the upper of two bf16 values. */
  private static final int UPPER_HALF = 0xffff_0000;

  private final Type[] arrays;
  private final List<Operation> operations = new ArrayList<>();
  private final List<Integer> constants = new ArrayList<>();
  private final Map<Integer, Value> known = new HashMap<>();

  /** The value, a constant, that each running sum or maximum begins with. */
  private final List<Value> beginnings = new ArrayList<>();

  private final boolean ofRows;
  private int scalars;
  private int values;

  /**
   * An empty program.
   *
   * @param arrays what each array holds
   * @throws IllegalArgumentException if they are more than {@link #MAX_ARRAYS}
   */
  public VectorProgram(Type... arrays) {
    this(false, MAX_ARRAYS, arrays);
  }

  private VectorProgram(boolean ofRows, int most, Type... arrays) {
    if (arrays.length > most) {
      throw new IllegalArgumentException(
          "VectorProgram: " + arrays.length + " arrays, at most " + most);
    }
    this.ofRows = ofRows;
    this.arrays = arrays.clone();
  }

  /**
   * An empty program for rows of arrays, whose scalars a row brings, and which may have running
   * sums; see {@link RowLoop}.
   *
   * @param arrays what each array holds
   * @throws IllegalArgumentException if they are more than {@link #MAX_ROW_ARRAYS}
   */
  public static VectorProgram ofRows(Type... arrays) {
    return new VectorProgram(true, MAX_ROW_ARRAYS, arrays);
  }

  // ---- what a program consists of

  /** A number that is the same for all elements and calls. */
  public Value constant(float value) {
    return bits(Float.floatToRawIntBits(value));
  }

  /** A word of 32 bits, likewise. */
  public Value bits(int bits) {
    return known.computeIfAbsent(bits, this::newConstant);
  }

  /**
   * A number that each call brings; see {@link VectorLoop#run}. Scalars come before any constant.
   *
   * @throws IllegalStateException after a constant
   */
  public Value scalar() {
    if (constants.size() > scalars) {
      throw new IllegalStateException("VectorProgram: a scalar after constants");
    }
    scalars++;
    return newConstant(0);
  }

  private Value newConstant(int bits) {
    Value value = operation(Code.CONSTANT, constants.size());
    constants.add(bits);
    return value;
  }

  private Value newConstants(float[] table, int start) {
    Value value = operation(Code.CONSTANTS, constants.size());
    for (int i = start; i < start + LANES; i++) {
      constants.add(Float.floatToRawIntBits(table[i]));
    }
    return value;
  }

  /** Elements of an array. */
  public Value load(int array) {
    return halvesOnly()
        ? operation(Code.LOAD, array, bits(UPPER_HALF))
        : operation(Code.LOAD, array);
  }

  /**
   * Elements of an array become a value; bf16 is rounded to nearest even, and keeps what is NaN.
   */
  public void store(int array, Value value) {
    if (arrays[array] == Type.F32) {
      operations.add(new Operation(Code.STORE, -1, new int[] {value.number}, array));
      return;
    }
    Value quiet = or(value, bits(0x0040_0000));
    storeHalves(array, select(value, value, UNORDERED, quiet, rounded(value)));
  }

  /**
   * {@link #store} of what was computed from bf16 values alone: a NaN then ends in zeros, which
   * rounding keeps.
   */
  public void storeResult(int array, Value value) {
    if (arrays[array] == Type.F32) {
      store(array, value);
    } else {
      storeHalves(array, rounded(value));
    }
  }

  /**
   * {@link #storeResult} of an approximation, whose ties tell nothing: they are rounded towards 0,
   * which takes an instruction instead of four.
   */
  public void storeApproximation(int array, Value value) {
    if (arrays[array] == Type.F32) {
      store(array, value);
    } else {
      storeHalves(array, addBits(value, bits(0x7fff)));
    }
  }

  /**
   * {@link #storeResult} by the processor's instruction for it: what is subnormal becomes zero,
   * with its sign. Only for {@link Processor#bf16}, and arrays of bf16.
   */
  public void storeNormal(int array, Value value) {
    if (arrays[array] != Type.BF16) {
      throw new IllegalArgumentException("VectorProgram: array " + array + " is not bf16");
    }
    operations.add(new Operation(Code.STORE_ROUNDED, -1, new int[] {value.number}, array));
  }

  /** In the upper half of each word the value rounded to bf16. */
  private Value rounded(Value value) {
    Value odd = and(shiftDown(value, BF16_SHIFT), bits(1));
    return addBits(addBits(value, bits(0x7fff)), odd);
  }

  private void storeHalves(int array, Value value) {
    int[] operands =
        halvesOnly() ? new int[] {value.number, bits(UPPER_HALF).number} : new int[] {value.number};
    operations.add(new Operation(Code.STORE_UPPER_HALVES, -1, operands, array));
  }

  /** a + b. */
  public Value add(Value a, Value b) {
    return operation(Code.ADD, 0, a, b);
  }

  /** a - b. */
  public Value subtract(Value a, Value b) {
    return operation(Code.SUBTRACT, 0, a, b);
  }

  /** a b. */
  public Value multiply(Value a, Value b) {
    return operation(Code.MULTIPLY, 0, a, b);
  }

  /** a / b. */
  public Value divide(Value a, Value b) {
    return operation(Code.DIVIDE, 0, a, b);
  }

  /** The greater one; b where one is not a number, or both are 0. */
  public Value maximum(Value a, Value b) {
    return operation(Code.MAXIMUM, 0, a, b);
  }

  /** The square root. */
  public Value squareRoot(Value a) {
    return operation(Code.SQUARE_ROOT, 0, a);
  }

  /** a b + c, rounded once. */
  public Value multiplyAdd(Value a, Value b, Value c) {
    return operation(Code.MULTIPLY_ADD, 0, a, b, c);
  }

  /** The sum of words as whole numbers. */
  public Value addBits(Value a, Value b) {
    return operation(Code.ADD_BITS, 0, a, b);
  }

  /** The bits that both words have. */
  public Value and(Value a, Value b) {
    return operation(Code.AND_BITS, 0, a, b);
  }

  /** The bits that any of two words has. */
  public Value or(Value a, Value b) {
    return operation(Code.OR_BITS, 0, a, b);
  }

  /** Words shifted up by 1 to 31 bits. */
  public Value shiftUp(Value a, int bits) {
    return operation(Code.SHIFT_UP, bits, a);
  }

  /** Words shifted down by 1 to 31 bits, zeros from above. */
  public Value shiftDown(Value a, int bits) {
    return operation(Code.SHIFT_DOWN, bits, a);
  }

  /** {@code yes} where a &lt; b, else {@code no}. */
  public Value selectLess(Value a, Value b, Value yes, Value no) {
    return select(a, b, LESS, yes, no);
  }

  /** {@code yes} where a &gt; b, else {@code no}. */
  public Value selectGreater(Value a, Value b, Value yes, Value no) {
    return select(a, b, GREATER, yes, no);
  }

  private Value select(Value a, Value b, int comparison, Value yes, Value no) {
    return operation(Code.SELECT, comparison, a, b, yes, no);
  }

  /**
   * The number of a table that the lowest five bits of a word tell.
   *
   * @throws IllegalArgumentException if the table has not {@link #TABLE} numbers
   */
  public Value lookUp(Value index, float... table) {
    if (table.length != TABLE) {
      throw new IllegalArgumentException(
          "VectorProgram: a table of " + table.length + " numbers, not " + TABLE);
    }
    return operation(
        Code.LOOK_UP, 0, index, newConstants(table, 0), newConstants(table, TABLE / 2));
  }

  // ---- over a row

  /**
   * The sum of a row's values becomes the row's next result. Each lane is added up in the order of
   * the row; then lanes 8, 4, 2 and 1 apart are added to each other.
   */
  public void sum(Value value) {
    accumulate(Code.ADD_TO_SUM, constant(0), value);
  }

  /** {@link #sum} of a b, each rounded once together with the sum so far. */
  public void sumOfProducts(Value a, Value b) {
    accumulate(Code.ADD_PRODUCT_TO_SUM, constant(0), a, b);
  }

  /**
   * The largest of a row's values, {@code least} if none is larger, becomes the row's next result.
   * What is not a number is left out.
   */
  public void maximum(Value value, float least) {
    accumulate(Code.RAISE_MAXIMUM, constant(least), value);
  }

  private void accumulate(Code code, Value beginning, Value... operands) {
    if (!ofRows) {
      throw new IllegalStateException("VectorProgram: a sum needs rows; see ofRows");
    }
    int[] numbers = Arrays.stream(operands).mapToInt(operand -> operand.number).toArray();
    operations.add(new Operation(code, -1, numbers, beginnings.size()));
    beginnings.add(beginning);
  }

  private Value operation(Code code, int extra, Value... operands) {
    int[] numbers = Arrays.stream(operands).mapToInt(operand -> operand.number).toArray();
    Value result = new Value(values++);
    operations.add(new Operation(code, result.number, numbers, extra));
    return result;
  }

  // ---- what is made of it

  /**
   * The program as a loop that can be run.
   *
   * @return empty if this machine has no AVX-512 or runs no code of ours; see {@link Processor}
   * @throws IllegalStateException if the program needs more than 32 registers at a time, or is one
   *     of rows
   */
  public Optional<VectorLoop> compile() {
    if (ofRows) {
      throw new IllegalStateException("VectorProgram: a program of rows; see compileRows");
    }
    if (!Processor.here().avx512()) {
      return Optional.empty();
    }
    Assembler code = new Assembler();
    int[] starts = new int[3];
    int copies = VectorProgramCode.append(code, this, false);
    code.align(LANES * Float.BYTES);
    starts[1] = code.position();
    VectorProgramCode.append(code, this, true);
    starts[2] = code.position();
    return ExecutableMemory.functions(code, starts)
        .map(
            functions ->
                new VectorLoop(functions[0], functions[1], copies, arrays, scalars, constants));
  }

  /**
   * A program of rows as a loop that can be run.
   *
   * @return empty if this machine has no AVX-512 or runs no code of ours; see {@link Processor}
   * @throws IllegalStateException if the program needs more than 32 registers at a time, more
   *     scalars or results than {@link RowLoop#MAX_SCALARS}, or is none of rows
   */
  public Optional<RowLoop> compileRows() {
    if (!ofRows || scalars > RowLoop.MAX_SCALARS || beginnings.size() > RowLoop.MAX_SCALARS) {
      throw new IllegalStateException(
          "VectorProgram: "
              + scalars
              + " scalars and "
              + beginnings.size()
              + " results, at most "
              + RowLoop.MAX_SCALARS
              + " each, of a program "
              + (ofRows ? "of rows" : "that is none of rows"));
    }
    if (!Processor.here().avx512()) {
      return Optional.empty();
    }
    Assembler code = new Assembler();
    RowProgramCode.append(code, this);
    return ExecutableMemory.of(code.toBytes())
        .map(function -> new RowLoop(function, scalars, constants));
  }

  List<Operation> operations() {
    return operations;
  }

  /**
   * Whether all arrays are bf16, and their elements come in pairs of vectors. Their loads and
   * stores have {@link #UPPER_HALF} as an operand, with which two vectors side by side are the
   * halves of as many words.
   */
  boolean halvesOnly() {
    if (ofRows) {
      return false;
    }
    for (Type type : arrays) {
      if (type != Type.BF16) {
        return false;
      }
    }
    return true;
  }

  Type type(int array) {
    return arrays[array];
  }

  int arrayCount() {
    return arrays.length;
  }

  int valueCount() {
    return values;
  }

  int scalarCount() {
    return scalars;
  }

  /** Of each running sum or maximum the number of the constant that it begins with. */
  int[] beginnings() {
    return beginnings.stream().mapToInt(value -> value.number).toArray();
  }
}
