package dev.heddle.simulated.simt;

import dev.heddle.simulated.memory.SimulatedFault;

/** Steps that read and write memory. */
final class MemorySteps {
  private MemorySteps() {}

  // Not private: copies of the classes below are no members of this one.
  static long address(Warp warp, int row, boolean isWide, int lane, long offset) {
    return (isWide ? warp.wide[row + lane] : warp.narrow[row + lane] & 0xFFFF_FFFFL) + offset;
  }

  static void checkVector(Warp warp, int lane, long address, int bytes) {
    if ((address & (bytes - 1)) != 0) {
      throw Faults.misaligned(warp, lane, address, bytes, "memory (a vector)");
    }
  }

  /** {@code ld} of one or several elements. */
  static final class Load extends Step {
    private final MemoryAccess access;
    private final int row;
    private final boolean isWide;
    private final long offset;
    private final int size;
    private final boolean signed;
    private final int[] results;
    private final int bits;

    Load(
        MemoryAccess access,
        int row,
        boolean isWide,
        long offset,
        int size,
        boolean signed,
        int[] results,
        int bits) {
      this.access = access;
      this.row = row;
      this.isWide = isWide;
      this.offset = offset;
      this.size = size;
      this.signed = signed;
      this.results = results;
      this.bits = bits;
    }

    @Override
    void run(Warp warp, int mask) {
      MemoryAccess memory = access;
      int bytes = size;
      int unused = 64 - 8 * bytes;
      int[] rows = results;
      int ones = bits == 16 ? 0xFFFF : -1;
      if (mask == ALL
          && rows.length == 1
          && isWide
          && memory instanceof MemoryAccess.Global global
          && warp.global.readRow(warp, global.slot(), row, offset, bytes, signed, rows[0], bits)) {
        return;
      }
      for (int rest = mask; rest != 0; rest &= rest - 1) {
        int i = Integer.numberOfTrailingZeros(rest);
        long address = address(warp, row, isWide, i, offset);
        if (rows.length > 1) {
          checkVector(warp, i, address, bytes * rows.length);
        }
        for (int element = 0; element < rows.length; element++) {
          long value = memory.read(warp, i, address + (long) element * bytes, bytes);
          if (signed) {
            value = value << unused >> unused;
          }
          if (bits == 64) {
            warp.wide[rows[element] + i] = value;
          } else {
            warp.narrow[rows[element] + i] = (int) value & ones;
          }
        }
      }
    }
  }

  /** {@code st} of one or several elements. */
  static final class Store extends Step {
    private final MemoryAccess access;
    private final int row;
    private final boolean isWide;
    private final long offset;
    private final int size;
    private final int[] sources;
    private final int bits;

    Store(
        MemoryAccess access,
        int row,
        boolean isWide,
        long offset,
        int size,
        int[] sources,
        int bits) {
      this.access = access;
      this.row = row;
      this.isWide = isWide;
      this.offset = offset;
      this.size = size;
      this.sources = sources;
      this.bits = bits;
    }

    @Override
    void run(Warp warp, int mask) {
      MemoryAccess memory = access;
      int bytes = size;
      int[] rows = sources;
      if (mask == ALL
          && rows.length == 1
          && isWide
          && memory instanceof MemoryAccess.Global global
          && warp.global.writeRow(warp, global.slot(), row, offset, bytes, rows[0], bits)) {
        return;
      }
      for (int rest = mask; rest != 0; rest &= rest - 1) {
        int i = Integer.numberOfTrailingZeros(rest);
        long address = address(warp, row, isWide, i, offset);
        if (rows.length > 1) {
          checkVector(warp, i, address, bytes * rows.length);
        }
        for (int element = 0; element < rows.length; element++) {
          long value = bits == 64 ? warp.wide[rows[element] + i] : warp.narrow[rows[element] + i];
          memory.write(warp, i, address + (long) element * bytes, bytes, value);
        }
      }
    }
  }

  /** {@code ld.param} from a place that the text names: the same for all lanes. */
  static final class ParameterLoad extends Step {
    private final long offset;
    private final int size;
    private final boolean signed;
    private final int[] results;
    private final int bits;

    ParameterLoad(long offset, int size, boolean signed, int[] results, int bits) {
      this.offset = offset;
      this.size = size;
      this.signed = signed;
      this.results = results;
      this.bits = bits;
    }

    @Override
    void run(Warp warp, int mask) {
      int first = Integer.numberOfTrailingZeros(mask);
      int unused = 64 - 8 * size;
      for (int element = 0; element < results.length; element++) {
        long value = MemoryAccess.parameter(warp, first, offset + (long) element * size, size);
        value = signed ? value << unused >> unused : value;
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          if (bits == 64) {
            warp.wide[results[element] + i] = value;
          } else {
            warp.narrow[results[element] + i] = (int) value & (bits == 16 ? 0xFFFF : -1);
          }
        }
      }
    }
  }

  /** {@code atom} and {@code red}: lane after lane. */
  static final class Atomic extends Step {
    private final MemoryAccess access;
    private final int row;
    private final boolean isWide;
    private final long offset;
    private final int size;
    private final MemoryAccess.Update update;
    private final int d;
    private final int b;
    private final int c;
    private final boolean global;

    Atomic(
        MemoryAccess access,
        int row,
        boolean isWide,
        long offset,
        int size,
        MemoryAccess.Update update,
        int d,
        int b,
        int c,
        boolean global) {
      this.access = access;
      this.row = row;
      this.isWide = isWide;
      this.offset = offset;
      this.size = size;
      this.update = update;
      this.d = d;
      this.b = b;
      this.c = c;
      this.global = global;
    }

    @Override
    void run(Warp warp, int mask) {
      if (global) {
        warp.block.order().atomic(warp.block.number());
      }
      for (int rest = mask; rest != 0; rest &= rest - 1) {
        int i = Integer.numberOfTrailingZeros(rest);
        long address = address(warp, row, isWide, i, offset);
        long right = size == 8 ? warp.wide[b + i] : warp.narrow[b + i] & 0xFFFF_FFFFL;
        long third = size == 8 ? warp.wide[c + i] : warp.narrow[c + i] & 0xFFFF_FFFFL;
        long old = access.update(warp, i, address, size, update, right, third);
        if (d >= 0) {
          if (size == 8) {
            warp.wide[d + i] = old;
          } else {
            warp.narrow[d + i] = (int) old;
          }
        }
      }
    }
  }

  /** {@code cp.async} of 4, 8 or 16 bytes, those beyond the source's size being zeros. */
  static final class AsyncCopy extends Step {
    private static final int NO_ROW = -1;

    private final MemoryDecoder.Place to;
    private final MemoryDecoder.Place from;
    private final int size;
    private final int sourceSize;

    AsyncCopy(MemoryDecoder.Place to, MemoryDecoder.Place from, int size, int sourceSize) {
      this.to = to;
      this.from = from;
      this.size = size;
      this.sourceSize = sourceSize;
    }

    @Override
    void run(Warp warp, int mask) {
      for (int rest = mask; rest != 0; rest &= rest - 1) {
        int i = Integer.numberOfTrailingZeros(rest);
        long target = address(warp, to.row(), to.isWide(), i, to.offset());
        long source = address(warp, from.row(), from.isWide(), i, from.offset());
        checkVector(warp, i, target, size);
        checkVector(warp, i, source, size);
        int wanted = sourceSize == NO_ROW ? size : warp.narrow[sourceSize + i];
        if (wanted < 0 || wanted > size) {
          throw warp.fault(
              SimulatedFault.Kind.INVALID_OPERAND,
              1 << i,
              "a source size of " + wanted + " bytes where " + size + " are copied");
        }
        int offset = warp.shared.checked(warp, i, target, 4);
        warp.shared.checked(warp, i, target + size - 4, 4);
        warp.shared.beginCopy(warp, i, offset, size);
        if (wanted == size) {
          for (int at = 0; at < size; at += 4) {
            warp.shared.put(offset + at, 4, from.access().read(warp, i, source + at, 4));
          }
        } else {
          for (int at = 0; at < size; at++) {
            long value = at < wanted ? from.access().read(warp, i, source + at, 1) : 0;
            warp.shared.put(offset + at, 1, value);
          }
        }
        warp.asyncCopies.add(i, offset, size);
      }
    }
  }

  /** {@code cp.async.commit_group}. */
  static final class AsyncCommit extends Step {
    @Override
    void run(Warp warp, int mask) {
      warp.asyncCopies.commit(mask);
    }
  }

  /** {@code cp.async.wait_group} and {@code wait_all}. */
  static final class AsyncWait extends Step {
    private final int groups;
    private final boolean all;

    AsyncWait(int groups, boolean all) {
      this.groups = groups;
      this.all = all;
    }

    @Override
    void run(Warp warp, int mask) {
      if (all) {
        warp.asyncCopies.awaitAll(mask);
      } else {
        warp.asyncCopies.await(mask, groups);
      }
    }
  }
}
