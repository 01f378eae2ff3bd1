package dev.heddle.runtime.cpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * Float vectors at raw addresses: the one door from the fast kernels to memory outside the heap.
 *
 * <p>All loads and stores go through one segment that spans the address space, at absolute
 * addresses. Kernels check arrays and shapes before they take addresses, so nothing is checked
 * twice. The just-in-time compiler drops the segment's own bounds check where it can see that an
 * address lies in [0, 2^56): {@link #address} and {@link #stride} tell it so, at the price of one
 * AND outside the loop. A check that stays is not only slower: it splits the loop body, and the
 * register allocator then spills.
 *
 * <p>All float vectors of the runtime have this one species. Two would make the type profiles
 * inside the Vector API ambiguous, and the compiler would then allocate vectors as objects in loops
 * that have nothing to do with the second.
 *
 * <p>Touched only when the Vector API module is present; see {@link CpuBackend}.
 */
final class Lanes {
  /** The widest vectors that this machine computes with. */
  static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;

  /** As many ints. */
  static final VectorSpecies<Integer> INTS = VectorSpecies.of(int.class, SPECIES.vectorShape());

  /** Floats in a vector. */
  static final int LENGTH = SPECIES.length();

  /** Bytes of a vector. */
  static final int BYTES = LENGTH * Float.BYTES;

  static final MemorySegment MEMORY = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  private static final FloatVector LANE_NUMBERS = FloatVector.zero(SPECIES).addIndex(1);

  /** By the logarithm of a distance: lanes that lie so far apart, exchanged in pairs. */
  private static final VectorShuffle<Float>[] SWAPS = swaps();

  private static final VectorShuffle<Float> SWAP_1 = SWAPS[0];
  private static final VectorShuffle<Float> SWAP_2 = swapOrNone(1);
  private static final VectorShuffle<Float> SWAP_4 = swapOrNone(2);
  private static final VectorShuffle<Float> SWAP_8 = swapOrNone(3);

  /** By the logarithm of a distance: the later lane of each such pair. */
  private static final VectorMask<Float>[] UPPER = uppers();

  private static final ByteOrder ORDER = ByteOrder.nativeOrder();
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
  private static final long ADDRESS_BITS = 0x00ff_ffff_ffff_ffffL;
  private static final long STRIDE_BITS = 0x0000_00ff_ffff_ffffL;

  private Lanes() {}

  /** {@code address} itself, in a form from which the compiler sees that it is in bounds. */
  static long address(long address) {
    return address & ADDRESS_BITS;
  }

  /** A byte stride, not negative, in a form from which the compiler sees its range. */
  static long stride(long stride) {
    return stride & STRIDE_BITS;
  }

  static FloatVector load(long address) {
    return FloatVector.fromMemorySegment(SPECIES, MEMORY, address, ORDER);
  }

  static void store(FloatVector vector, long address) {
    vector.intoMemorySegment(MEMORY, address, ORDER);
  }

  /** The first {@code count} lanes set; all from {@link #LENGTH} on. */
  static VectorMask<Float> first(int count) {
    return LANE_NUMBERS.compare(VectorOperators.LT, (float) count);
  }

  /** Loads the lanes that are set; the others are 0 and their memory is not touched. */
  static FloatVector load(long address, VectorMask<Float> mask) {
    return FloatVector.fromMemorySegment(SPECIES, MEMORY, address, ORDER, mask);
  }

  static void store(FloatVector vector, long address, VectorMask<Float> mask) {
    vector.intoMemorySegment(MEMORY, address, ORDER, mask);
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  private static VectorShuffle<Float>[] swaps() {
    VectorShuffle<Float>[] swaps = new VectorShuffle[Integer.numberOfTrailingZeros(LENGTH)];
    for (int i = 0; i < swaps.length; i++) {
      int distance = 1 << i;
      swaps[i] = VectorShuffle.fromOp(SPECIES, lane -> lane ^ distance);
    }
    return swaps;
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  private static VectorMask<Float>[] uppers() {
    VectorMask<Float>[] masks = new VectorMask[Integer.numberOfTrailingZeros(LENGTH)];
    for (int i = 0; i < masks.length; i++) {
      boolean[] lanes = new boolean[LENGTH];
      for (int lane = 0; lane < LENGTH; lane++) {
        lanes[lane] = (lane >> i & 1) == 1;
      }
      masks[i] = VectorMask.fromArray(SPECIES, lanes, 0);
    }
    return masks;
  }

  /** {@link #SWAPS}, of shorter vectors any. */
  private static VectorShuffle<Float> swapOrNone(int logarithm) {
    return SWAPS[Math.min(logarithm, SWAPS.length - 1)];
  }

  /** Exchanges lanes that are {@code distance}, a power of two, apart. */
  static VectorShuffle<Float> swap(int distance) {
    return SWAPS[Integer.numberOfTrailingZeros(distance)];
  }

  /** Of lanes that {@link #swap} exchanges the later ones. */
  static VectorMask<Float> upper(int distance) {
    return UPPER[Integer.numberOfTrailingZeros(distance)];
  }

  static FloatVector broadcast(float value) {
    return FloatVector.broadcast(SPECIES, value);
  }

  /** All lanes the float at {@code address}. */
  static FloatVector broadcastAt(long address) {
    return FloatVector.broadcast(SPECIES, MEMORY.get(FLOAT, address));
  }

  static FloatVector zero() {
    return FloatVector.zero(SPECIES);
  }

  static float get(long address) {
    return MEMORY.get(FLOAT, address);
  }

  static void set(long address, float value) {
    MEMORY.set(FLOAT, address, value);
  }

  /**
   * The sum of the lanes, always in the same order. {@code reduceLanes(ADD)} may add in another
   * order once it is compiled, which would make results depend on how warm the program is. Lanes
   * are named by constants: with a variable, each is a branch for every lane that there is. There
   * is no helper that adds some of them: where the compiler knows little about a run yet, it would
   * call it, and make an object of the vector for each call.
   */
  static float sum(FloatVector v) {
    return switch (LENGTH) {
      case 4 -> (v.lane(0) + v.lane(2)) + (v.lane(1) + v.lane(3));
      case 8 ->
          ((v.lane(0) + v.lane(4)) + (v.lane(2) + v.lane(6)))
              + ((v.lane(1) + v.lane(5)) + (v.lane(3) + v.lane(7)));
      case 16 ->
          (((v.lane(0) + v.lane(8)) + (v.lane(4) + v.lane(12)))
                  + ((v.lane(2) + v.lane(10)) + (v.lane(6) + v.lane(14))))
              + (((v.lane(1) + v.lane(9)) + (v.lane(5) + v.lane(13)))
                  + ((v.lane(3) + v.lane(11)) + (v.lane(7) + v.lane(15))));
      default -> sumInOrder(v);
    };
  }

  /**
   * {@link #sum}, with the same bits, by adding halves to each other until one lane is left: a
   * third of the instructions, and fewer nodes. For loops of their own; where a loop is inlined
   * into others the compiler may make objects of what is shuffled.
   */
  static float sumByHalves(FloatVector v) {
    return switch (LENGTH) {
      case 4 -> add(add(v, SWAP_2), SWAP_1).lane(0);
      case 8 -> add(add(add(v, SWAP_4), SWAP_2), SWAP_1).lane(0);
      case 16 -> add(add(add(add(v, SWAP_8), SWAP_4), SWAP_2), SWAP_1).lane(0);
      default -> sumInOrder(v);
    };
  }

  private static FloatVector add(FloatVector v, VectorShuffle<Float> swap) {
    return v.add(v.rearrange(swap));
  }

  private static float sumInOrder(FloatVector v) {
    float sum = 0;
    for (int i = 0; i < LENGTH; i++) {
      sum += v.lane(i);
    }
    return sum;
  }

  /** The largest lane of a vector without NaN. */
  static float max(FloatVector v) {
    return switch (LENGTH) {
      case 4 -> larger(larger(v.lane(0), v.lane(2)), larger(v.lane(1), v.lane(3)));
      case 8 ->
          larger(
              larger(larger(v.lane(0), v.lane(4)), larger(v.lane(2), v.lane(6))),
              larger(larger(v.lane(1), v.lane(5)), larger(v.lane(3), v.lane(7))));
      default -> v.reduceLanes(VectorOperators.MAX);
    };
  }

  private static float larger(float a, float b) {
    return a > b ? a : b;
  }
}
