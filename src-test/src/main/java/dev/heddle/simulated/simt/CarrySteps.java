package dev.heddle.simulated.simt;

import dev.heddle.simulated.ptx.PtxType;

/** {@code add.cc}, {@code addc}, {@code sub.cc}, {@code subc}, {@code mad.cc} and {@code madc}. */
final class CarrySteps {
  private CarrySteps() {}

  static Step step(Operands o) {
    String opcode = o.opcode();
    boolean multiply = opcode.startsWith("mad");
    boolean high = multiply && o.want("lo", "hi").equals("hi");
    boolean carryOut = o.take("cc");
    boolean carryIn = opcode.endsWith("c");
    PtxType type = o.type(PtxType.S32, PtxType.U32, PtxType.S64, PtxType.U64);
    o.wantCount(multiply ? 4 : 3);
    int a = o.source(1, type);
    int b = o.source(2, type);
    int c = multiply ? o.source(3, type) : b;
    int d = o.result(0, type);
    Operation kind =
        multiply ? Operation.MAD : opcode.startsWith("sub") ? Operation.SUB : Operation.ADD;
    return type.bits() == 64
        ? new Wide(kind, high, type.isSigned(), carryIn, carryOut, d, a, b, c)
        : new Narrow(kind, high, type.isSigned(), carryIn, carryOut, d, a, b, c);
  }

  private enum Operation {
    ADD,
    SUB,
    MAD
  }

  /** With 32 bits. */
  private static final class Narrow extends Step {
    private final Operation operation;
    private final boolean high;
    private final boolean signed;
    private final boolean carryIn;
    private final boolean carryOut;
    private final int d;
    private final int a;
    private final int b;
    private final int c;

    Narrow(
        Operation operation,
        boolean high,
        boolean signed,
        boolean carryIn,
        boolean carryOut,
        int d,
        int a,
        int b,
        int c) {
      this.operation = operation;
      this.high = high;
      this.signed = signed;
      this.carryIn = carryIn;
      this.carryOut = carryOut;
      this.d = d;
      this.a = a;
      this.b = b;
      this.c = c;
    }

    @Override
    void run(Warp warp, int mask) {
      int[] narrow = warp.narrow;
      for (int rest = mask; rest != 0; rest &= rest - 1) {
        int i = Integer.numberOfTrailingZeros(rest);
        long in = carryIn ? (warp.carries >>> i) & 1 : 0;
        long x = narrow[a + i] & 0xFFFF_FFFFL;
        long y = narrow[c + i] & 0xFFFF_FFFFL;
        long sum;
        switch (operation) {
          case ADD -> sum = x + y + in;
          case SUB -> sum = x - y - in;
          default -> {
            int left = narrow[a + i];
            int right = narrow[b + i];
            int product =
                !high
                    ? left * right
                    : signed
                        ? IntegerDecoder.highSigned(left, right)
                        : IntegerDecoder.highUnsigned(left, right);
            sum = (product & 0xFFFF_FFFFL) + y + in;
          }
        }
        narrow[d + i] = (int) sum;
        if (carryOut) {
          warp.carries = (warp.carries & ~(1 << i)) | ((int) (sum >>> 32) & 1) << i;
        }
      }
    }
  }

  /** With 64 bits. */
  private static final class Wide extends Step {
    private final Operation operation;
    private final boolean high;
    private final boolean signed;
    private final boolean carryIn;
    private final boolean carryOut;
    private final int d;
    private final int a;
    private final int b;
    private final int c;

    Wide(
        Operation operation,
        boolean high,
        boolean signed,
        boolean carryIn,
        boolean carryOut,
        int d,
        int a,
        int b,
        int c) {
      this.operation = operation;
      this.high = high;
      this.signed = signed;
      this.carryIn = carryIn;
      this.carryOut = carryOut;
      this.d = d;
      this.a = a;
      this.b = b;
      this.c = c;
    }

    @Override
    void run(Warp warp, int mask) {
      long[] wide = warp.wide;
      for (int rest = mask; rest != 0; rest &= rest - 1) {
        int i = Integer.numberOfTrailingZeros(rest);
        long in = carryIn ? (warp.carries >>> i) & 1 : 0;
        long x = wide[a + i];
        long y = wide[c + i];
        if (operation == Operation.MAD) {
          long right = wide[b + i];
          x =
              !high
                  ? x * right
                  : signed ? Math.multiplyHigh(x, right) : Math.unsignedMultiplyHigh(x, right);
        }
        long result;
        boolean carry;
        if (operation == Operation.SUB) {
          result = x - y - in;
          carry = Long.compareUnsigned(x, y) < 0 || (x == y && in != 0);
        } else {
          result = x + y + in;
          carry = Long.compareUnsigned(x + y, x) < 0 || (in != 0 && result == 0);
        }
        wide[d + i] = result;
        if (carryOut) {
          warp.carries = (warp.carries & ~(1 << i)) | (carry ? 1 << i : 0);
        }
      }
    }
  }
}
