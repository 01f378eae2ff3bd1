package dev.heddle.jmh.gpu;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.comm.nccl.NcclWorld;
import dev.heddle.parallel.comm.staged.StagedCommunicator;
import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Layout;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowLayout;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.redistribute.Boundary;
import dev.heddle.parallel.redistribute.BoundaryExchange;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.parallel.redistribute.TransferPlan;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/** What goes between GPUs: a plain copy, collectives, and the boundary between two components. */
final class LinkSpeed {
  private static final long FEATURES = 1024;

  private final CheckOptions options;
  private final int ranks;

  /** The largest even number of the {@code gpus}, at least two. */
  LinkSpeed(CheckOptions options, int gpus) {
    this.options = options;
    this.ranks = gpus / 2 * 2;
  }

  /**
   * All figures.
   *
   * @param nccl whether NCCL carries arrays; else they go through main memory
   */
  List<Figure> measure(boolean nccl) {
    Figure copy = copy();
    List<Figure> figures = new ArrayList<>(List.of(copy));
    OptionalDouble copied = OptionalDouble.of(copy.value());
    RankProgram.OnDevice<CudaDevice> body =
        (world, device) -> rank(world, device, nccl, copied, figures);
    LocalWorld.run(
        ranks,
        world -> {
          if (nccl) {
            RankProgram.<CudaDevice>onDevice(
                    group -> CudaDevice.open(group.rank()),
                    (group, device) ->
                        NcclWorld.run(group, device, linked -> body.run(linked, device)))
                .run(world);
          } else {
            try (StagedCommunicator staged = StagedCommunicator.over(world)) {
              RankProgram.<CudaDevice>onDevice(group -> CudaDevice.open(group.rank()), body)
                  .run(staged);
            }
          }
        });
    return figures;
  }

  private Figure copy() {
    long bytes = options.messageBytes().getLast();
    try (CudaDevice first = CudaDevice.open(0);
        CudaDevice second = CudaDevice.open(1);
        MemoryScope scope = MemoryScope.open()) {
      boolean direct = second.enableAccessTo(first);
      NDArray from = NDArray.zeros(first, DType.F32, bytes / Float.BYTES);
      NDArray to = NDArray.zeros(second, DType.F32, bytes / Float.BYTES);
      Operation operation =
          new Operation(
              "links",
              "copy cuda:0 to cuda:1, " + (direct ? "direct" : "by way of the host"),
              "peer_copy",
              "f32",
              Map.of("bytes", bytes),
              Operation.GIGABYTES,
              bytes);
      return Figure.of(
          operation,
          options
              .rounds()
              .time(
                  second::synchronize,
                  () ->
                      second.copyFromPeer(
                          first,
                          from.block(),
                          from.byteOffset(),
                          to.block(),
                          to.byteOffset(),
                          bytes)));
    }
  }

  private void rank(
      Communicator world,
      CudaDevice device,
      boolean nccl,
      OptionalDouble copied,
      List<Figure> figures) {
    String by = nccl ? "NCCL" : "main memory";
    for (long bytes : options.messageBytes()) {
      try (MemoryScope scope = MemoryScope.open()) {
        NDArray whole = NDArray.zeros(device, DType.F32, bytes / Float.BYTES / ranks * ranks);
        long part = whole.size() / ranks;
        List<NDArray> parts = new ArrayList<>();
        for (int i = 0; i < ranks; i++) {
          parts.add(whole.slice(0, i * part, (i + 1) * part));
        }
        NDArray own = NDArray.zeros(device, DType.F32, part);
        double one = (double) bytes * (ranks - 1) / ranks;
        add(
            world,
            figures,
            operation("all_reduce", by, bytes, 2 * one),
            time(world, device, () -> world.allReduce(whole, ReduceOp.SUM).await()),
            copied);
        add(
            world,
            figures,
            operation("all_gather", by, bytes, one),
            time(world, device, () -> world.allGather(own, parts).await()),
            copied);
        add(
            world,
            figures,
            operation("reduce_scatter", by, bytes, one),
            time(world, device, () -> world.reduceScatter(parts, own, ReduceOp.SUM).await()),
            copied);
      }
    }
    boundaries()
        .forEach((name, boundary) -> boundary(world, device, by, name, boundary, copied, figures));
  }

  /** Both ways, where anything has to move. */
  private void boundary(
      Communicator world,
      CudaDevice device,
      String by,
      String name,
      Boundary boundary,
      OptionalDouble copied,
      List<Figure> figures) {
    BoundaryPlan plan = boundary.plan(Strategy.DIRECT);
    try (MemoryScope scope = MemoryScope.open()) {
      BoundaryExchange exchange = new BoundaryExchange(plan, world);
      NDArray rows = held(boundary.source(), world, device);
      NDArray gradient = held(boundary.destination(), world, device);
      long there = bytes(plan.forward());
      long back = bytes(plan.backward().orElseThrow());
      if (there > 0) {
        add(
            world,
            figures,
            operation("boundary_forward", name + " by " + by, there, there),
            time(world, device, () -> inScope(() -> exchange.forward(rows, device, DType.F32))),
            copied);
      }
      if (back > 0) {
        add(
            world,
            figures,
            operation("boundary_backward", name + " by " + by, back, back),
            time(
                world, device, () -> inScope(() -> exchange.backward(gradient, device, DType.F32))),
            copied);
      }
    }
  }

  @SuppressWarnings("try") // the scope is there to be open
  private static void inScope(Runnable work) {
    try (MemoryScope scope = MemoryScope.open()) {
      work.run();
    }
  }

  private static void add(
      Communicator world,
      List<Figure> figures,
      Operation operation,
      double seconds,
      OptionalDouble copied) {
    if (world.rank() == 0) {
      figures.add(Figure.of(operation, seconds).of(copied, "copy between GPUs"));
    }
  }

  private Operation operation(String kind, String by, long bytes, double moved) {
    return new Operation(
        "links",
        "%s, %d ranks, %d KiB, %s".formatted(kind.replace('_', ' '), ranks, bytes >> 10, by),
        kind,
        "f32",
        Map.of("bytes", bytes, "ranks", (long) ranks),
        Operation.GIGABYTES,
        moved);
  }

  private double time(Communicator world, CudaDevice device, Runnable operation) {
    Runnable wait =
        () -> {
          device.synchronize();
          world.barrier();
        };
    operation.run();
    Rounds rounds = options.rounds();
    long repeats = rounds.repeats(Rounds.round(wait, operation, 1));
    // All ranks do as many.
    return rounds.time(wait, operation, (int) world.allReduce(repeats, ReduceOp.MIN));
  }

  /**
   * Data-parallel to tensor-parallel over the same ranks, whose gradient is everywhere already; and
   * from one half of the ranks to the other.
   */
  private Map<String, Boundary> boundaries() {
    int[] rows = new int[options.tiny() ? 2 * ranks : 32 * ranks];
    Arrays.fill(rows, options.tiny() ? 2 : 256);
    RowPlacement dense = RowPlacement.dense(RowCounts.perSample(rows));
    int half = ranks / 2;
    Map<String, Boundary> boundaries = new LinkedHashMap<>();
    boundaries.put(
        "dp to tp", new Boundary(layout(0, ranks, 1, dense), layout(0, ranks, 2, dense)));
    boundaries.put(
        "half to half", new Boundary(layout(0, half, 1, dense), layout(half, half, 1, dense)));
    return boundaries;
  }

  private static RowLayout layout(int first, int count, int tensor, RowPlacement placement) {
    Mesh mesh =
        Mesh.onRanks(first, count).axis(Axis.TP, tensor).axis(Axis.DP, count / tensor).build();
    Layout layout = Layout.on(mesh).invariant(Axis.TP).shard(Axis.DP, RowLayout.SAMPLE_DIM).build();
    return RowLayout.of(layout, placement, FEATURES).build();
  }

  /** An array of the rows that a rank has; null if it takes no part. */
  private static @Nullable NDArray held(RowLayout layout, Communicator world, CudaDevice device) {
    Holding holding = layout.holdings().find(world.rank());
    return holding == null
        ? null
        : NDArray.zeros(device, DType.F32, holding.runs().rows().size(), FEATURES);
  }

  /** What the rank that receives most receives. */
  private long bytes(TransferPlan plan) {
    long most = 0;
    for (int rank = 0; rank < ranks; rank++) {
      most = Math.max(most, plan.traffic().received(rank));
    }
    return most * Float.BYTES;
  }
}
