package dev.heddle.simulated.simt;

import dev.heddle.simulated.memory.SimulatedFault.Kind;
import dev.heddle.simulated.ptx.PtxOperand;
import dev.heddle.simulated.ptx.PtxType;
import java.util.List;

/**
 * {@code ldmatrix}, and {@code mma} of 16 x 8 results with {@code f32} sums. A sum is formed in the
 * order of k, each product added with one rounding; tensor cores do not say in which order they
 * add.
 */
final class MatrixDecoder {
  private static final int ROWS = 16;
  private static final int COLUMNS = 8;
  private static final int PER_LANE = 4;
  private static final int ALL_LANES = -1;

  private MatrixDecoder() {}

  static Step step(Operands o) {
    return o.opcode().equals("mma") ? multiply(o) : load(o);
  }

  private static Step load(Operands o) {
    o.want("sync");
    o.want("aligned");
    o.want("m8n8");
    int matrices =
        switch (o.want("x1", "x2", "x4")) {
          case "x1" -> 1;
          case "x2" -> 2;
          default -> 4;
        };
    boolean transposed = o.take("trans");
    o.want("shared", "shared::cta");
    o.type(PtxType.B16);
    o.wantCount(2);
    List<PtxOperand> targets = o.elements(o.get(0));
    if (targets.size() != matrices) {
      throw o.refuse(matrices + " result registers are wanted");
    }
    int[] d = targets.stream().mapToInt(each -> o.result(each, PtxType.B32)).toArray();
    MemoryDecoder.Place place = MemoryDecoder.place(o, o.get(1), "shared");
    o.decoder().noteAccess(ROW_BYTES, true, false);
    return new WarpDecoder.Meeting(
        ALL_LANES, (warp, mask) -> load(warp, mask, place, d, transposed));
  }

  private static final int ROW_BYTES = 16;

  /** Lane 8 m + r says where row r of matrix m is; lane l gets elements 2 (l % 4) of row l / 4. */
  private static void load(
      Warp warp, int mask, MemoryDecoder.Place place, int[] d, boolean transposed) {
    checkAllLanes(warp, mask);
    int[] rows = warp.scratch;
    for (int lane = 0; lane < 8 * d.length; lane++) {
      long address =
          (place.isWide() ? warp.wide[place.row() + lane] : warp.narrow[place.row() + lane])
              + place.offset();
      if (!place.isWide()) {
        address &= 0xFFFF_FFFFL;
      }
      rows[lane] = warp.shared.checked(warp, lane, address, ROW_BYTES);
      warp.shared.noteRead(warp, lane, rows[lane], ROW_BYTES);
    }
    for (int matrix = 0; matrix < d.length; matrix++) {
      for (int lane = 0; lane < Step.LANES; lane++) {
        int group = lane >> 2;
        int pair = 2 * (lane & 3);
        long value;
        if (transposed) {
          long low = warp.shared.get(rows[8 * matrix + pair] + 2 * group, 2);
          long high = warp.shared.get(rows[8 * matrix + pair + 1] + 2 * group, 2);
          value = high << 16 | low;
        } else {
          value = warp.shared.get(rows[8 * matrix + group] + 2 * pair, 4);
        }
        warp.narrow[d[matrix] + lane] = (int) value;
      }
    }
  }

  private static void checkAllLanes(Warp warp, int mask) {
    if (mask != Step.ALL) {
      throw warp.fault(
          Kind.WARP_DIVERGENCE,
          mask,
          "needs all 32 lanes of a warp, of which 0x%08x are here".formatted(mask));
    }
  }

  private static Step multiply(Operands o) {
    o.want("sync");
    o.want("aligned");
    int depth =
        switch (o.want("m16n8k16", "m16n8k8", "m16n8k4")) {
          case "m16n8k16" -> 16;
          case "m16n8k8" -> 8;
          default -> 4;
        };
    o.want("row");
    o.want("col");
    o.type(PtxType.F32);
    PtxType type = o.type(PtxType.BF16, PtxType.F16, PtxType.TF32);
    PtxType other = o.type();
    o.type(PtxType.F32);
    o.wantCount(4);
    boolean full = type == PtxType.TF32;
    if (other != type || (full ? depth == 16 : depth == 4)) {
      throw o.refuse("these types and this shape do not go together");
    }
    int[] d = rows(o, 0, 4, true);
    int[] a = rows(o, 1, full ? depth / 2 : depth / 4, false);
    int[] b = rows(o, 2, full ? depth / 4 : depth / 8, false);
    int[] c = rows(o, 3, 4, false);
    return new WarpDecoder.Meeting(
        ALL_LANES,
        (warp, mask) -> {
          checkAllLanes(warp, mask);
          float[] left = warp.left();
          float[] right = warp.right();
          if (full) {
            gatherSingles(warp, a, b, depth, left, right);
          } else {
            gatherHalves(warp, a, b, depth, type == PtxType.BF16, left, right);
          }
          multiply(warp, depth, left, right, c, d);
        });
  }

  private static int[] rows(Operands o, int index, int count, boolean results) {
    List<PtxOperand> elements = o.elements(o.get(index));
    if (elements.size() != count) {
      throw o.refuse(
          "operand " + (index + 1) + " has " + elements.size() + " registers instead of " + count);
    }
    return elements.stream()
        .mapToInt(each -> results ? o.result(each, PtxType.B32) : o.source(each, PtxType.B32))
        .toArray();
  }

  /** Two elements a register: lane 4 g + t has columns 2 t of rows g and g + 8. */
  private static void gatherHalves(
      Warp warp, int[] a, int[] b, int depth, boolean brain, float[] left, float[] right) {
    for (int lane = 0; lane < Step.LANES; lane++) {
      int group = lane >> 2;
      int pair = 2 * (lane & 3);
      for (int i = 0; i < a.length; i++) {
        int row = group + 8 * (i & 1);
        int k = pair + 8 * (i >> 1);
        int bits = warp.narrow[a[i] + lane];
        left[row * depth + k] = HalfDecoder.widened(bits & 0xFFFF, brain);
        left[row * depth + k + 1] = HalfDecoder.widened(bits >>> 16, brain);
      }
      for (int i = 0; i < b.length; i++) {
        int k = pair + 8 * i;
        int bits = warp.narrow[b[i] + lane];
        right[group * depth + k] = HalfDecoder.widened(bits & 0xFFFF, brain);
        right[group * depth + k + 1] = HalfDecoder.widened(bits >>> 16, brain);
      }
    }
  }

  /** One element a register, of which the lowest 13 bits do not count. */
  private static void gatherSingles(
      Warp warp, int[] a, int[] b, int depth, float[] left, float[] right) {
    for (int lane = 0; lane < Step.LANES; lane++) {
      int group = lane >> 2;
      int column = lane & 3;
      for (int i = 0; i < a.length; i++) {
        int row = group + 8 * (i & 1);
        left[row * depth + column + 4 * (i >> 1)] = tf32(warp.narrow[a[i] + lane]);
      }
      for (int i = 0; i < b.length; i++) {
        right[group * depth + column + 4 * i] = tf32(warp.narrow[b[i] + lane]);
      }
    }
  }

  private static float tf32(int bits) {
    return Float.intBitsToFloat(bits & ~0x1FFF);
  }

  private static void multiply(
      Warp warp, int depth, float[] left, float[] right, int[] c, int[] d) {
    int[] narrow = warp.narrow;
    float[] sums = warp.sums();
    for (int lane = 0; lane < Step.LANES; lane++) {
      for (int i = 0; i < PER_LANE; i++) {
        int row = (lane >> 2) + 8 * (i >> 1);
        int column = 2 * (lane & 3) + (i & 1);
        float sum = Float.intBitsToFloat(narrow[c[i] + lane]);
        for (int k = 0; k < depth; k++) {
          sum = Math.fma(left[row * depth + k], right[column * depth + k], sum);
        }
        sums[PER_LANE * lane + i] = sum;
      }
    }
    // Only now, for results may be where summands were.
    for (int lane = 0; lane < Step.LANES; lane++) {
      for (int i = 0; i < PER_LANE; i++) {
        narrow[d[i] + lane] = Float.floatToRawIntBits(sums[PER_LANE * lane + i]);
      }
    }
  }

  /** How many elements the two factors of the deepest product have. */
  static float[] newLeft() {
    return new float[ROWS * 16];
  }

  static float[] newSums() {
    return new float[PER_LANE * Step.LANES];
  }

  static float[] newRight() {
    return new float[COLUMNS * 16];
  }
}
