package dev.heddle.simulated.simt;

import dev.heddle.simulated.memory.SimulatedFault.Kind;
import java.lang.foreign.ValueLayout;

/** How an instruction gets at one of the kinds of memory. */
abstract class MemoryAccess {
  /** Where generic addresses of shared memory begin. */
  static final long SHARED = 0x6000_0000_0000L;

  /** Where generic addresses of a thread's local memory begin. */
  static final long LOCAL = 0x6100_0000_0000L;

  /** Where generic addresses of the kernel's parameters begin. */
  static final long PARAMETERS = 0x6400_0000_0000L;

  private static final long WINDOW = 1L << 32;

  /** What an atomic instruction makes of the old value and its operands. */
  interface Update {
    long apply(long old, long b, long c);
  }

  /** Reads {@code size} bytes (1, 2, 4 or 8), zeros above. */
  abstract long read(Warp warp, int lane, long address, int size);

  /** Writes the lower {@code size} bytes of {@code bits}. */
  abstract void write(Warp warp, int lane, long address, int size, long bits);

  /** Atomically replaces what is there, and returns what was. */
  abstract long update(Warp warp, int lane, long address, int size, Update update, long b, long c);

  /** Global and const memory. */
  static final class Global extends MemoryAccess {
    private final int slot;

    Global(int slot) {
      this.slot = slot;
    }

    @Override
    long read(Warp warp, int lane, long address, int size) {
      return warp.global.read(warp, lane, address, size, slot);
    }

    @Override
    void write(Warp warp, int lane, long address, int size, long bits) {
      warp.global.write(warp, lane, address, size, slot, bits);
    }

    @Override
    long update(Warp warp, int lane, long address, int size, Update update, long b, long c) {
      return warp.global.update(warp, lane, address, size, slot, update, b, c);
    }
  }

  /** The block's shared memory. */
  static final class Shared extends MemoryAccess {
    @Override
    long read(Warp warp, int lane, long address, int size) {
      return warp.shared.read(warp, lane, address, size);
    }

    @Override
    void write(Warp warp, int lane, long address, int size, long bits) {
      warp.shared.write(warp, lane, address, size, bits);
    }

    @Override
    long update(Warp warp, int lane, long address, int size, Update update, long b, long c) {
      int offset = warp.shared.checked(warp, lane, address, size);
      warp.shared.noteWrite(warp, lane, offset, size, true);
      long old = warp.shared.get(offset, size);
      warp.shared.put(offset, size, update.apply(old, b, c));
      return old;
    }
  }

  /** The thread's local memory. */
  static final class Local extends MemoryAccess {
    @Override
    long read(Warp warp, int lane, long address, int size) {
      return warp.local.read(warp, lane, address, size);
    }

    @Override
    void write(Warp warp, int lane, long address, int size, long bits) {
      warp.local.write(warp, lane, address, size, bits);
    }

    @Override
    long update(Warp warp, int lane, long address, int size, Update update, long b, long c) {
      throw warp.fault(Kind.ILLEGAL_ADDRESS, 1 << lane, "an atomic instruction on local memory");
    }
  }

  /** The kernel's parameters. */
  static final class Parameters extends MemoryAccess {
    @Override
    long read(Warp warp, int lane, long address, int size) {
      return parameter(warp, lane, address, size);
    }

    @Override
    void write(Warp warp, int lane, long address, int size, long bits) {
      throw warp.fault(Kind.ILLEGAL_ADDRESS, 1 << lane, "writes to the kernel's parameters");
    }

    @Override
    long update(Warp warp, int lane, long address, int size, Update update, long b, long c) {
      throw warp.fault(Kind.ILLEGAL_ADDRESS, 1 << lane, "writes to the kernel's parameters");
    }
  }

  /** Any of them, as the address says. */
  static final class Generic extends MemoryAccess {
    private final Global global;
    private final MemoryAccess shared = new Shared();
    private final MemoryAccess local = new Local();
    private final MemoryAccess parameters = new Parameters();

    Generic(int slot) {
      this.global = new Global(slot);
    }

    private MemoryAccess access(long address) {
      if (isShared(address)) {
        return shared;
      }
      if (isLocal(address)) {
        return local;
      }
      return isParameter(address) ? parameters : global;
    }

    private static long stripped(long address) {
      return isShared(address) || isLocal(address) || isParameter(address)
          ? address & (WINDOW - 1)
          : address;
    }

    @Override
    long read(Warp warp, int lane, long address, int size) {
      return access(address).read(warp, lane, stripped(address), size);
    }

    @Override
    void write(Warp warp, int lane, long address, int size, long bits) {
      access(address).write(warp, lane, stripped(address), size, bits);
    }

    @Override
    long update(Warp warp, int lane, long address, int size, Update update, long b, long c) {
      return access(address).update(warp, lane, stripped(address), size, update, b, c);
    }
  }

  static boolean isShared(long address) {
    return address >= SHARED && address < SHARED + WINDOW;
  }

  static boolean isLocal(long address) {
    return address >= LOCAL && address < LOCAL + WINDOW;
  }

  static boolean isParameter(long address) {
    return address >= PARAMETERS && address < PARAMETERS + WINDOW;
  }

  static boolean isConst(long address) {
    return address >= GlobalSpace.CONST_VARIABLES && address < PARAMETERS;
  }

  /** Reads a parameter's bytes. */
  static long parameter(Warp warp, int lane, long address, int size) {
    var parameters = warp.block.parameters();
    if (address < 0 || address > parameters.byteSize() - size) {
      throw warp.fault(
          Kind.ILLEGAL_ADDRESS,
          1 << lane,
          "%d bytes at 0x%x of the kernel's parameters, which are %d bytes"
              .formatted(size, address, parameters.byteSize()));
    }
    if ((address & (size - 1)) != 0) {
      throw Faults.misaligned(warp, lane, address, size, "the kernel's parameters");
    }
    return switch (size) {
      case 1 -> parameters.get(ValueLayout.JAVA_BYTE, address) & 0xFFL;
      case 2 -> parameters.get(GlobalSpace.SHORT, address) & 0xFFFFL;
      case 4 -> parameters.get(GlobalSpace.INT, address) & 0xFFFF_FFFFL;
      default -> parameters.get(GlobalSpace.LONG, address);
    };
  }
}
