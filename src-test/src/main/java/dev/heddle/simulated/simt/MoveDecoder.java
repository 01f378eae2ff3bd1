package dev.heddle.simulated.simt;

import dev.heddle.simulated.ptx.PtxOperand;
import dev.heddle.simulated.ptx.PtxRegister;
import dev.heddle.simulated.ptx.PtxType;
import java.util.List;

/** {@code mov}, {@code cvta}, {@code isspacep}. */
final class MoveDecoder {
  private MoveDecoder() {}

  static Step step(Operands o) {
    return switch (o.opcode()) {
      case "mov" -> move(o);
      case "cvta" -> convertAddress(o);
      case "isspacep" -> isSpace(o);
      default -> new Undefined(o.resultRegister(o.get(0)), o.decoder().rows());
    };
  }

  private static Step move(Operands o) {
    PtxType type = o.type();
    o.wantCount(2);
    if (type == PtxType.PRED) {
      return movePredicate(o);
    }
    if (type.bits() < 16) {
      throw o.refuse("registers of 8 bits are not supported");
    }
    if (o.get(1) instanceof PtxOperand.Vector vector) {
      return pack(o, type, vector.elements());
    }
    if (o.get(0) instanceof PtxOperand.Vector vector) {
      return unpack(o, type, vector.elements());
    }
    if (o.get(1) instanceof PtxOperand.Special special) {
      switch (special.name()) {
        case "%clock" -> {
          return new Clock(o.result(0, PtxType.B32), false);
        }
        case "%clock64", "%globaltimer" -> {
          return new Clock(o.result(0, PtxType.B64), true);
        }
        default -> {}
      }
    }
    int a = o.source(1, type);
    int d = o.result(0, type);
    return type.bits() == 64 ? new Copy(d, a, true) : new Copy(d, a, false);
  }

  /** {@code mov}. */
  private static final class Copy extends Step {
    private final int d;
    private final int a;
    private final boolean isWide;

    Copy(int d, int a, boolean isWide) {
      this.d = d;
      this.a = a;
      this.isWide = isWide;
    }

    @Override
    void run(Warp warp, int mask) {
      if (mask == ALL) {
        if (isWide) {
          System.arraycopy(warp.wide, a, warp.wide, d, LANES);
        } else {
          System.arraycopy(warp.narrow, a, warp.narrow, d, LANES);
        }
        return;
      }
      for (int rest = mask; rest != 0; rest &= rest - 1) {
        int i = Integer.numberOfTrailingZeros(rest);
        if (isWide) {
          warp.wide[d + i] = warp.wide[a + i];
        } else {
          warp.narrow[d + i] = warp.narrow[a + i];
        }
      }
    }
  }

  /** A register about which nvcc says that its value does not matter: something unlikely. */
  private static final class Undefined extends Step {
    private static final int UNLIKELY = 0x7FFD_EAD0;

    private final int d;
    private final boolean isWide;
    private final boolean isPredicate;
    private final int poison;

    Undefined(PtxRegister register, Rows rows) {
      this.d = rows.place(register);
      this.isWide = register.isWide();
      this.isPredicate = register.isPredicate();
      this.poison = register.type().bits() == 16 ? UNLIKELY >>> 16 : UNLIKELY;
    }

    @Override
    void run(Warp warp, int mask) {
      if (isPredicate) {
        return;
      }
      for (int rest = mask; rest != 0; rest &= rest - 1) {
        int i = Integer.numberOfTrailingZeros(rest);
        if (isWide) {
          warp.wide[d + i] = BitDecoder.pair(poison, poison);
        } else {
          warp.narrow[d + i] = poison;
        }
      }
    }
  }

  /** {@code mov} from a clock: warp instructions so far. */
  private static final class Clock extends Step {
    private final int d;
    private final boolean isWide;

    Clock(int d, boolean isWide) {
      this.d = d;
      this.isWide = isWide;
    }

    @Override
    void run(Warp warp, int mask) {
      long now = warp.tick();
      for (int rest = mask; rest != 0; rest &= rest - 1) {
        int i = Integer.numberOfTrailingZeros(rest);
        if (isWide) {
          warp.wide[d + i] = now;
        } else {
          warp.narrow[d + i] = (int) now;
        }
      }
    }
  }

  private static Step movePredicate(Operands o) {
    int d = o.predicateResult(o.get(0));
    if (o.get(1) instanceof PtxOperand.Immediate) {
      int bits = o.immediate(o.get(1)) != 0 ? -1 : 0;
      return new PredicateLoops.LogicStep((a, b) -> bits, d, 0, false, 0, false);
    }
    Operands.Predicate a = o.predicate(o.get(1));
    return new PredicateLoops.LogicStep(
        (x, y) -> x, d, a.place(), a.negated(), a.place(), a.negated());
  }

  private static PtxType partType(Operands o, PtxType type, int parts) {
    return switch (type.bits() / parts) {
      case 16 -> PtxType.B16;
      case 32 -> PtxType.B32;
      default -> throw o.refuse("parts of " + type.bits() / parts + " bits are not supported");
    };
  }

  private static Step pack(Operands o, PtxType type, List<PtxOperand> parts) {
    PtxType part = partType(o, type, parts.size());
    int[] rows = parts.stream().mapToInt(each -> o.source(each, part)).toArray();
    return new Pack(o.result(0, type), rows, part.bits(), type.bits() == 64);
  }

  private static Step unpack(Operands o, PtxType type, List<PtxOperand> parts) {
    PtxType part = partType(o, type, parts.size());
    int source = o.source(1, type);
    int[] rows =
        parts.stream()
            .mapToInt(each -> each instanceof PtxOperand.Sink ? -1 : o.result(each, part))
            .toArray();
    return new Unpack(source, rows, part.bits(), type.bits() == 64);
  }

  /** {@code mov.b64 d, {a, b}} and the like. */
  private static final class Pack extends Step {
    private final int d;
    private final int[] parts;
    private final int bits;
    private final boolean isWide;

    Pack(int d, int[] parts, int bits, boolean isWide) {
      this.d = d;
      this.parts = parts;
      this.bits = bits;
      this.isWide = isWide;
    }

    @Override
    void run(Warp warp, int mask) {
      int[] narrow = warp.narrow;
      for (int rest = mask; rest != 0; rest &= rest - 1) {
        int i = Integer.numberOfTrailingZeros(rest);
        long value = 0;
        for (int part = 0; part < parts.length; part++) {
          value |= (narrow[parts[part] + i] & 0xFFFF_FFFFL) << (part * bits);
        }
        if (isWide) {
          warp.wide[d + i] = value;
        } else {
          narrow[d + i] = (int) value;
        }
      }
    }
  }

  /** {@code mov.b64 {a, b}, d} and the like. */
  private static final class Unpack extends Step {
    private final int a;
    private final int[] parts;
    private final int bits;
    private final boolean isWide;

    Unpack(int a, int[] parts, int bits, boolean isWide) {
      this.a = a;
      this.parts = parts;
      this.bits = bits;
      this.isWide = isWide;
    }

    @Override
    void run(Warp warp, int mask) {
      int[] narrow = warp.narrow;
      int ones = bits == 32 ? -1 : 0xFFFF;
      for (int rest = mask; rest != 0; rest &= rest - 1) {
        int i = Integer.numberOfTrailingZeros(rest);
        long value = isWide ? warp.wide[a + i] : narrow[a + i];
        for (int part = 0; part < parts.length; part++) {
          if (parts[part] >= 0) {
            narrow[parts[part] + i] = (int) (value >>> (part * bits)) & ones;
          }
        }
      }
    }
  }

  private static Step convertAddress(Operands o) {
    boolean toSpace = o.take("to");
    String space = o.want("global", "shared", "shared::cta", "local", "const", "param");
    o.type(PtxType.U64);
    o.wantCount(2);
    long window =
        switch (space) {
          case "shared", "shared::cta" -> MemoryAccess.SHARED;
          case "local" -> MemoryAccess.LOCAL;
          case "param" -> MemoryAccess.PARAMETERS;
          default -> 0;
        };
    long distance = toSpace ? -window : window;
    int a = o.source(1, PtxType.B64);
    int d = o.result(0, PtxType.B64);
    if (distance == 0) {
      return new Copy(d, a, true);
    }
    Loops.LongFunction f = address -> address + distance;
    return LoopCopies.step(Loops.LongLoop.class, o.mnemonic(), f, d, a);
  }

  private static Step isSpace(Operands o) {
    String space = o.want("global", "shared", "shared::cta", "local", "const", "param");
    PredicateLoops.LongComparison f =
        switch (space) {
          case "shared", "shared::cta" -> (address, same) -> MemoryAccess.isShared(address);
          case "local" -> (address, same) -> MemoryAccess.isLocal(address);
          case "const" -> (address, same) -> MemoryAccess.isConst(address);
          case "param" -> (address, same) -> MemoryAccess.isParameter(address);
          default ->
              (address, same) ->
                  !MemoryAccess.isShared(address)
                      && !MemoryAccess.isLocal(address)
                      && !MemoryAccess.isConst(address);
        };
    o.wantCount(2);
    int a = o.source(1, PtxType.B64);
    PredicateLoops.Combination first = (compared, other) -> compared;
    return LoopCopies.step(
        PredicateLoops.LongCompareLoop.class,
        o.mnemonic(),
        f,
        a,
        a,
        o.predicateResult(o.get(0)),
        0,
        first,
        0,
        false);
  }
}
