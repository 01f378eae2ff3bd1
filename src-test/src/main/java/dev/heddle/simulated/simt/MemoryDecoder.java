package dev.heddle.simulated.simt;

import static dev.heddle.simulated.simt.Formats.bits;
import static dev.heddle.simulated.simt.Formats.f32;
import static dev.heddle.simulated.simt.Formats.f64;

import dev.heddle.simulated.ptx.PtxOperand;
import dev.heddle.simulated.ptx.PtxRegister;
import dev.heddle.simulated.ptx.PtxType;
import dev.heddle.simulated.ptx.PtxVariable;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** {@code ld}, {@code st}, {@code atom}, {@code red}, {@code prefetch} and {@code cp.async}. */
final class MemoryDecoder {
  private static final String[] HINTS = {
    "ca",
    "cg",
    "cs",
    "lu",
    "cv",
    "wb",
    "wt",
    "nc",
    "L1::evict_normal",
    "L1::evict_unchanged",
    "L1::evict_first",
    "L1::evict_last",
    "L1::no_allocate",
    "L2::64B",
    "L2::128B",
    "L2::256B"
  };

  private MemoryDecoder() {}

  /** An address operand: where its row is, and how memory is reached. */
  record Place(MemoryAccess access, int row, boolean isWide, long offset, String space) {}

  static Step step(Operands o) {
    return switch (o.opcode()) {
      case "ld", "ldu" -> load(o);
      case "st" -> store(o);
      case "atom", "red" -> atomic(o);
      case "cp" -> asyncCopy(o);
      default -> prefetch(o);
    };
  }

  private static void takeOrder(Operands o) {
    o.takeOneOf("weak", "volatile", "relaxed", "acquire", "release", "acq_rel");
    o.takeOneOf("cta", "cluster", "gpu", "sys");
  }

  private static void takeHints(Operands o) {
    while (o.takeOneOf(HINTS) != null) {
      // Caches are not simulated.
    }
  }

  private static String space(Operands o) {
    String space =
        o.takeOneOf("global", "shared::cta", "shared", "local", "const", "param::entry", "param");
    return switch (space) {
      case null -> "generic";
      case "shared::cta" -> "shared";
      case "param::entry" -> "param";
      default -> space;
    };
  }

  /** What {@code [address]} in this space is. */
  static Place place(Operands o, PtxOperand operand, String space) {
    if (!(operand instanceof PtxOperand.Address address)) {
      throw o.refuse("an address in brackets is wanted, not " + operand);
    }
    String actual = space;
    PtxVariable variable = address.variable();
    if (variable != null && variable.space() == PtxVariable.Space.LOCAL && space.equals("param")) {
      actual = "local"; // A call's parameters, once the function is in place.
    }
    if (variable != null && !variable.space().name().equalsIgnoreCase(actual)) {
      throw o.refuse(variable.name() + " is in ." + variable.space() + ", not ." + space);
    }
    MemoryAccess access =
        switch (actual) {
          case "global", "const" -> new MemoryAccess.Global(o.decoder().newMemorySlot());
          case "shared" -> new MemoryAccess.Shared();
          case "local" -> new MemoryAccess.Local();
          case "param" -> new MemoryAccess.Parameters();
          default -> new MemoryAccess.Generic(o.decoder().newMemorySlot());
        };
    PtxRegister register = address.register();
    if (register != null) {
      return new Place(access, o.read(register), register.isWide(), address.offset(), actual);
    }
    long base = variable == null ? 0 : Decoder.address(variable.space(), variable.offset());
    int row = o.decoder().rows().wideConstant(base + address.offset());
    return new Place(access, row, true, 0, actual);
  }

  private static int vector(Operands o) {
    return switch (o.takeOneOf("v2", "v4")) {
      case "v2" -> 2;
      case "v4" -> 4;
      case null, default -> 1;
    };
  }

  private static PtxType memoryType(Operands o) {
    PtxType type = o.type();
    if (type == PtxType.PRED || type == PtxType.TF32) {
      throw o.refuse("type " + type + " is not for memory");
    }
    return type;
  }

  private static void note(Operands o, Place place, int bytes) {
    boolean generic = place.space.equals("generic");
    o.decoder()
        .noteAccess(
            bytes,
            generic || place.space.equals("shared"),
            generic || place.space.equals("global"));
  }

  /** What elements are moved to or from: rows, all of one width. */
  private record Elements(@SuppressWarnings("ArrayRecordComponent") int[] rows, int bits) {}

  private static Elements elements(
      Operands o, PtxOperand operand, PtxType type, int count, boolean results) {
    List<PtxOperand> parts = o.elements(operand);
    if (parts.size() != count) {
      throw o.refuse(count + " elements are wanted, not " + parts.size());
    }
    int[] rows = new int[count];
    int bits = Math.max(16, type.bits());
    for (PtxOperand part : parts) {
      if (part instanceof PtxOperand.Register register) {
        bits = register.register().type().bits();
      }
    }
    if (bits < type.bits()) {
      throw o.refuse("a register is too narrow for " + type);
    }
    PtxType as = bits == 64 ? PtxType.B64 : bits == 32 ? PtxType.B32 : PtxType.B16;
    for (int i = 0; i < count; i++) {
      PtxOperand part = parts.get(i);
      if (results) {
        rows[i] = o.result(part, as);
      } else if (part instanceof PtxOperand.Immediate immediate) {
        rows[i] = o.constant(o.bits(immediate, type), as);
      } else {
        rows[i] = o.source(part, as);
      }
    }
    return new Elements(rows, bits);
  }

  private static Step load(Operands o) {
    takeOrder(o);
    String space = space(o);
    takeHints(o);
    int count = vector(o);
    PtxType type = memoryType(o);
    o.wantCount(2);
    Place place = place(o, o.get(1), space);
    int bytes = type.bytes();
    note(o, place, bytes * count);
    Elements elements = elements(o, o.get(0), type, count, true);
    if (place.access instanceof MemoryAccess.Parameters
        && o.get(1) instanceof PtxOperand.Address address
        && address.variable() != null) {
      return new MemorySteps.ParameterLoad(
          address.variable().offset() + address.offset(),
          bytes,
          type.isSigned(),
          elements.rows,
          elements.bits);
    }
    return LoopCopies.step(
        MemorySteps.Load.class,
        key(place, bytes, count, elements.bits),
        place.access,
        place.row,
        place.isWide,
        place.offset,
        bytes,
        type.isSigned(),
        elements.rows,
        elements.bits);
  }

  private static String key(Place place, int bytes, int count, int bits) {
    return place.space + "/" + place.isWide + "/" + bytes + "x" + count + "/" + bits;
  }

  private static Step store(Operands o) {
    takeOrder(o);
    String space = space(o);
    takeHints(o);
    int count = vector(o);
    PtxType type = memoryType(o);
    o.wantCount(2);
    Place place = place(o, o.get(0), space);
    if (place.space.equals("const") || place.space.equals("param")) {
      throw o.refuse("nothing can be stored in ." + space);
    }
    int bytes = type.bytes();
    note(o, place, bytes * count);
    Elements elements = elements(o, o.get(1), type, count, false);
    return LoopCopies.step(
        MemorySteps.Store.class,
        key(place, bytes, count, elements.bits),
        place.access,
        place.row,
        place.isWide,
        place.offset,
        bytes,
        elements.rows,
        elements.bits);
  }

  private static Step prefetch(Operands o) {
    o.takeOneOf("global", "local", "const", "param");
    o.want("L1", "L2", "global::L2", "L2::evict_last", "L2::evict_normal");
    if (o.get(0) instanceof PtxOperand.Address address && address.register() != null) {
      o.read(address.register());
    }
    return new Control.Nothing();
  }

  private static Step atomic(Operands o) {
    boolean returns = o.opcode().equals("atom");
    takeOrder(o);
    String space = space(o);
    if (!space.equals("global") && !space.equals("shared") && !space.equals("generic")) {
      throw o.refuse("atomics are for global and shared memory");
    }
    String operation = o.want("add", "min", "max", "exch", "cas", "and", "or", "xor", "inc", "dec");
    o.take("noftz");
    PtxType type = o.type();
    int first = returns ? 1 : 0;
    boolean swap = operation.equals("cas");
    o.wantCount(first + (swap ? 3 : 2));
    Place place = place(o, o.get(first), space);
    note(o, place, type.bytes());
    int b = o.source(first + 1, type);
    int c = swap ? o.source(first + 2, type) : b;
    int d = returns ? o.result(0, type) : -1;
    return new MemorySteps.Atomic(
        place.access,
        place.row,
        place.isWide,
        place.offset,
        type.bytes(),
        update(o, operation, type),
        d,
        b,
        c,
        !place.space.equals("shared"));
  }

  private static MemoryAccess.Update update(Operands o, String operation, PtxType type) {
    boolean narrow = type.bits() == 32;
    boolean wide = type.bits() == 64;
    MemoryAccess.Update update = null;
    switch (operation) {
      case "exch" -> update = narrow || wide ? (old, b, c) -> b : null;
      case "cas" -> update = type.isFloat() ? null : (old, b, c) -> old == b ? c : old;
      case "and" -> update = type.isFloat() ? null : (old, b, c) -> old & b;
      case "or" -> update = type.isFloat() ? null : (old, b, c) -> old | b;
      case "xor" -> update = type.isFloat() ? null : (old, b, c) -> old ^ b;
      case "inc" ->
          update =
              type == PtxType.U32
                  ? (old, b, c) -> Integer.compareUnsigned((int) old, (int) b) >= 0 ? 0 : old + 1
                  : null;
      case "dec" ->
          update =
              type == PtxType.U32
                  ? (old, b, c) ->
                      old == 0 || Integer.compareUnsigned((int) old, (int) b) > 0 ? b : old - 1
                  : null;
      case "add" -> update = sum(type);
      case "min", "max" -> update = extreme(operation.equals("max"), type);
      default -> {}
    }
    if (update == null) {
      throw o.refuse("atomic " + operation + " is not for " + type);
    }
    return update;
  }

  private static MemoryAccess.@Nullable Update sum(PtxType type) {
    return switch (type) {
      case U32, S32, U64, S64 -> (old, b, c) -> old + b;
      case F32 -> (old, b, c) -> bits(f32((int) old) + f32((int) b));
      case F64 -> (old, b, c) -> bits(f64(old) + f64(b));
      case F16, BF16 -> (old, b, c) -> halfSum((int) old, (int) b, type == PtxType.BF16);
      case F16X2, BF16X2 ->
          (old, b, c) -> {
            boolean brain = type == PtxType.BF16X2;
            return halfSum((int) old & 0xFFFF, (int) b & 0xFFFF, brain)
                | halfSum((int) old >>> 16, (int) b >>> 16, brain) << 16;
          };
      default -> null;
    };
  }

  private static int halfSum(int a, int b, boolean brain) {
    return HalfDecoder.narrowed(
        HalfDecoder.widened(a, brain) + HalfDecoder.widened(b, brain), brain, false);
  }

  private static MemoryAccess.@Nullable Update extreme(boolean max, PtxType type) {
    return switch (type) {
      case S32 ->
          max
              ? (old, b, c) -> Math.max((int) old, (int) b)
              : (old, b, c) -> Math.min((int) old, (int) b);
      case S64 -> max ? (old, b, c) -> Math.max(old, b) : (old, b, c) -> Math.min(old, b);
      case U32, U64 ->
          max
              ? (old, b, c) -> Long.compareUnsigned(old, b) >= 0 ? old : b
              : (old, b, c) -> Long.compareUnsigned(old, b) <= 0 ? old : b;
      default -> null;
    };
  }

  private static Step asyncCopy(Operands o) {
    if (!o.take("async")) {
      throw o.refuse("only cp.async is supported");
    }
    if (o.take("commit_group")) {
      return new MemorySteps.AsyncCommit();
    }
    if (o.take("wait_all")) {
      return new MemorySteps.AsyncWait(0, true);
    }
    if (o.take("wait_group")) {
      return new MemorySteps.AsyncWait((int) o.immediate(o.get(0)), false);
    }
    boolean bypass = o.want("ca", "cg").equals("cg");
    o.want("shared", "shared::cta");
    o.want("global");
    takeHints(o);
    int size = (int) o.immediate(o.get(2));
    if (size != 16 && (bypass || (size != 4 && size != 8))) {
      throw o.refuse("a copy of " + size + " bytes; 16 (and with .ca 4 and 8) are possible");
    }
    int sourceSize = -1;
    if (o.count() == 4) {
      sourceSize = o.source(3, PtxType.U32);
    } else {
      o.wantCount(3);
    }
    Place to = place(o, o.get(0), "shared");
    Place from = place(o, o.get(1), "global");
    // Bytes are read one by one where fewer than all are copied.
    o.decoder().noteAccess(size, true, false);
    o.decoder().noteAccess(sourceSize < 0 ? 4 : 1, false, true);
    o.decoder().noteAsyncCopy();
    return new MemorySteps.AsyncCopy(to, from, size, sourceSize);
  }
}
