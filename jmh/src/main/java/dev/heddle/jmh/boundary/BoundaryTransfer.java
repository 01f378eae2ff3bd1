package dev.heddle.jmh.boundary;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.redistribute.BoundaryExchange;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.parallel.redistribute.PlanBuffer;
import dev.heddle.parallel.redistribute.TransferPlan;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One rank's part in a boundary that is crossed again and again, and the plain copies beside it.
 * Every row and feature has a number of its own, so that what arrives can be told without looking
 * at how it got there: {@link #check} compares all of it.
 *
 * <p>Its arrays belong to the scope that is open when it is made. For the rank's thread only.
 */
@SuppressWarnings("try") // scopes are there to be open
public final class BoundaryTransfer {
  // Numbers that floats hold exactly, with a half for gradients.
  private static final int NUMBERS = 65_521;

  private final Communicator world;
  private final CpuDevice device;
  private final BoundaryExchange exchange;
  private final Map<Direction, Way> ways = new EnumMap<>(Direction.class);
  private final RankRows rankRows;

  /** Whether nothing is sent from memory that a crossing makes and gives back. */
  private final boolean sendsItsInput;

  /** The crossing of which others may still take what this rank sent. */
  private BoundaryExchange.@Nullable Pending underWay;

  /** What one direction reads and writes on this rank; null where it has no part. */
  private static final class Way {
    @Nullable NDArray input;
    @Nullable Holding result;
    @Nullable MemorySegment callersRows;
    @Nullable MemorySegment callersResult;
    @Nullable NDArray copySource;
    @Nullable NDArray copyRows;
    @Nullable NDArray copyBlank;
    List<CopyBetween> copies = List.of();
  }

  /**
   * A rank of {@code world}.
   *
   * @param memory where the rows are before and behind each crossing
   * @param life of that memory, which is this thread's
   * @param rankRows told where this rank's rows are; the ranks meet before one copies from another
   */
  BoundaryTransfer(
      BoundaryPlan plan,
      Communicator world,
      CpuDevice device,
      HostMemory memory,
      Arena life,
      RankRows rankRows) {
    this.world = world;
    this.device = device;
    this.rankRows = rankRows;
    this.exchange = new BoundaryExchange(plan, world);
    this.sendsItsInput =
        Arrays.stream(Direction.values())
            .flatMap(direction -> direction.of(plan).phases().stream())
            .allMatch(phase -> phase.reads() == PlanBuffer.INPUT);
    for (Direction direction : Direction.values()) {
      ways.put(direction, way(direction, direction.of(plan), memory, life));
    }
  }

  private Way way(Direction direction, TransferPlan plan, HostMemory memory, Arena life) {
    Way way = new Way();
    int rank = world.globalRank(world.rank());
    Holding before = plan.buffer(PlanBuffer.INPUT).find(rank);
    if (before != null) {
      // Gradients of words are none of the boundary's business: it must not look at them.
      float[] given = numbers(direction, before, Float.NaN);
      NDArray input = NDArray.of(device, shape(before), given);
      way.input = input;
      rankRows.tell(direction, rank, input.segment());
      if (memory != HostMemory.POOLED) {
        way.callersRows = memory.allocate(4L * given.length, life);
        MemorySegment.copy(MemorySegment.ofArray(given), 0, way.callersRows, 0, 4L * given.length);
      }
    }
    Holding after = plan.buffer(PlanBuffer.OUTPUT).find(rank);
    if (after != null) {
      way.result = after;
      long numbers = shape(after).size();
      if (memory != HostMemory.POOLED) {
        way.callersResult = memory.allocate(Float.BYTES * numbers, life);
      }
      Volume volume = Volume.of(plan, rank);
      long rows = volume.rows() / Float.BYTES;
      NDArray to = NDArray.zeros(device, DType.F32, Shape.of(numbers));
      way.copySource = NDArray.full(device, DType.F32, Shape.of(rows), 1);
      way.copyRows = to.slice(0, 0, rows);
      way.copyBlank = to.slice(0, rows, to.size());
      way.copies = CopyBetween.of(plan, rank);
    }
    return way;
  }

  private static Shape shape(Holding holding) {
    return Shape.of(holding.bufferRows(), holding.features().size());
  }

  /** The numbers of a buffer, and {@code blank} where no row belongs. */
  private static float[] numbers(Direction direction, Holding holding, float blank) {
    int columns = Math.toIntExact(holding.features().size());
    float[] numbers = new float[Math.toIntExact(holding.bufferRows() * columns)];
    Arrays.fill(numbers, blank);
    for (int run = 0; run < holding.runs().count(); run++) {
      for (long row = holding.runs().start(run); row < holding.runs().end(run); row++) {
        int at = Math.toIntExact(holding.runs().placeOf(row) * columns);
        for (int column = 0; column < columns; column++) {
          numbers[at + column] = number(direction, row, holding.features().start() + column);
        }
      }
    }
    return numbers;
  }

  private static float number(Direction direction, long row, long feature) {
    float number = (row * 521 + feature) % NUMBERS;
    return direction == Direction.FORWARD ? number : number + 0.5f;
  }

  private Way way(Direction direction) {
    Way way = ways.get(direction);
    if (way == null) {
      throw new IllegalStateException("BoundaryTransfer: no " + direction);
    }
    return way;
  }

  /**
   * Crosses the boundary once; every rank calls it. As in training, a rank that has its rows does
   * not wait until others have taken what it sent, unless its next step writes to that memory: it
   * sees to that when it has crossed again, or {@linkplain #settle settles}.
   */
  public void cross(Direction direction) {
    Way way = way(direction);
    try (MemoryScope step = MemoryScope.open()) {
      takeIn(way);
      BoundaryExchange.Pending crossing = begin(direction, way);
      NDArray arrived = crossing.awaitRows();
      settle();
      if (arrived != null && way.callersResult != null) {
        arrived.readBytes(way.callersResult);
      }
      underWay = crossing;
      if (!sendsItsInput || way.callersRows != null) {
        settle();
      }
    }
  }

  /** Returns when others have taken all that this rank has sent. */
  public void settle() {
    BoundaryExchange.Pending last = underWay;
    if (last != null) {
      underWay = null;
      last.awaitSent();
    }
  }

  private static void takeIn(Way way) {
    if (way.input != null && way.callersRows != null) {
      way.input.writeBytes(way.callersRows);
    }
  }

  private BoundaryExchange.Pending begin(Direction direction, Way way) {
    return direction == Direction.FORWARD
        ? exchange.beginForward(way.input, device, DType.F32)
        : exchange.beginBackward(way.input, device, DType.F32);
  }

  private @Nullable NDArray transfer(Direction direction, Way way) {
    return direction == Direction.FORWARD
        ? exchange.forward(way.input, device, DType.F32)
        : exchange.backward(way.input, device, DType.F32);
  }

  /**
   * Writes what crossing has to leave on this rank, by plain copies: as many bytes of rows in one
   * run, the zeros of its result behind them, and the same ways in and out where the caller's rows
   * lie elsewhere. Then it meets the others, as crossing does; every rank calls it.
   */
  public void copy(Direction direction) {
    Way way = way(direction);
    takeIn(way);
    NDArray from = way.copySource;
    NDArray to = way.copyRows;
    if (from != null && to != null) {
      MemorySegment.copy(from.segment(), 0, to.segment(), 0, from.size() * Float.BYTES);
      copyBlank(way);
      copyOut(way);
    }
    world.barrier();
  }

  /**
   * As {@link #copy}, but the rows' bytes come from the ranks whose rows they are in the crossing,
   * those of one rank in one run. For that the ranks meet when all have their rows, and when all
   * have copied, before these are written again. Rows that have just been copied in lie in the
   * cache of the core that did so, where no implementation finds them for nothing: {@link #copy}
   * reads none of them.
   */
  public void copyBetween(Direction direction) {
    Way way = way(direction);
    takeIn(way);
    world.barrier();
    NDArray to = way.copyRows;
    if (to != null) {
      long at = 0;
      for (CopyBetween copy : way.copies) {
        MemorySegment rows = rankRows.of(direction, copy.from());
        MemorySegment.copy(rows, copy.start(), to.segment(), at, copy.bytes());
        at += copy.bytes();
      }
      requireAll(direction, at, to.size() * Float.BYTES);
      copyBlank(way);
    }
    world.barrier();
    copyOut(way);
  }

  private static void requireAll(Direction direction, long copied, long rows) {
    if (copied != rows) {
      throw new IllegalStateException(
          "boundary "
              + direction.label()
              + ": the plan's first phase brings "
              + copied
              + " bytes, wanted all "
              + rows
              + " of the result's rows; copy between ranks for the strategy direct");
    }
  }

  private static void copyBlank(Way way) {
    NDArray blank = way.copyBlank;
    if (blank != null && blank.size() > 0) {
      blank.kernels().fill(blank, 0);
    }
  }

  private static void copyOut(Way way) {
    NDArray rows = way.copyRows;
    MemorySegment to = way.callersResult;
    if (rows != null && to != null) {
      MemorySegment.copy(rows.segment(), 0, to, 0, to.byteSize());
    }
  }

  /**
   * Crosses the boundary once, into memory that was not zero, and compares every number that
   * arrives.
   *
   * @throws IllegalStateException naming the first that is wrong
   */
  public void check(Direction direction) {
    Way way = way(direction);
    try (MemoryScope step = MemoryScope.open()) {
      Holding result = way.result;
      float[] wanted = result == null ? new float[0] : numbers(direction, result, 0);
      if (result != null) {
        // The pool hands out what was given back last.
        NDArray.full(device, DType.F32, shape(result), Double.NaN).free();
      }
      if (way.input != null && way.callersRows != null) {
        way.input.kernels().fill(way.input, Double.NaN);
      }
      takeIn(way);
      NDArray arrived = transfer(direction, way);
      float[] got = new float[arrived == null ? 0 : Math.toIntExact(arrived.size())];
      if (arrived != null && way.callersResult != null) {
        arrived.readBytes(way.callersResult);
        MemorySegment.copy(
            way.callersResult, ValueLayout.JAVA_FLOAT_UNALIGNED, 0, got, 0, got.length);
      } else if (arrived != null) {
        arrived.readBytes(MemorySegment.ofArray(got));
      }
      compare("boundary " + direction.label() + ", rank " + world.rank(), got, wanted);
    }
  }

  /** Refuses numbers that are not those that were wanted; NaN is equal to NaN. */
  static void compare(String where, float[] got, float[] wanted) {
    int wrong = Arrays.mismatch(got, wanted);
    if (wrong >= 0) {
      throw new IllegalStateException(
          where
              + ": of "
              + got.length
              + " numbers that arrived, wanted "
              + wanted.length
              + ", number "
              + wrong
              + " is "
              + (wrong < got.length ? got[wrong] : "missing")
              + ", wanted "
              + (wrong < wanted.length ? wanted[wrong] : "none"));
    }
  }
}
