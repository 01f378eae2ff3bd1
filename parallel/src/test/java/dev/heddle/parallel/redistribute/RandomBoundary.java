package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.layout.AxisType;
import dev.heddle.parallel.layout.Intervals;
import dev.heddle.parallel.layout.Layout;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowLayout;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/** Makes boundaries of every kind: axes, types, uneven rows, placements, overlaps of meshes. */
final class RandomBoundary {
  private static final int MAXIMUM_RANKS = 12;
  private final Random random;

  RandomBoundary(long seed) {
    random = new Random(seed);
  }

  Boundary next() {
    RowCounts counts = counts();
    int features = 1 + random.nextInt(7);
    Mesh source = mesh(0);
    Mesh destination =
        switch (random.nextInt(3)) {
          case 0 -> mesh(0);
          case 1 -> mesh(source.rankCount());
          default -> mesh(random.nextInt(source.rankCount() + 1));
        };
    return new Boundary(
        side(source, counts, features, AxisType.partial()),
        side(destination, counts, features, AxisType.replicate()));
  }

  Hosts hosts() {
    int size = random.nextInt(4);
    return size == 0 ? Hosts.single() : Hosts.ofSize(size);
  }

  private RowCounts counts() {
    int[][] rows = new int[random.nextInt(12) == 0 ? 0 : 1 + random.nextInt(6)][];
    for (int sample = 0; sample < rows.length; sample++) {
      rows[sample] = new int[random.nextInt(6) == 0 ? 0 : 1 + random.nextInt(2)];
      for (int item = 0; item < rows[sample].length; item++) {
        rows[sample][item] = random.nextInt(4) == 0 ? 0 : random.nextInt(8);
      }
    }
    return RowCounts.perItem(rows);
  }

  private Mesh mesh(int firstRank) {
    List<Axis> axes = new ArrayList<>(List.of(Axis.TP, Axis.CP, Axis.DP, Axis.EP));
    Collections.shuffle(axes, random);
    int count = 1;
    List<Integer> sizes = new ArrayList<>();
    for (Axis axis : axes) {
      int size = axis == Axis.EP ? 1 + random.nextInt(2) : 1 + random.nextInt(4);
      size = count * size > MAXIMUM_RANKS ? 1 : size;
      sizes.add(size);
      count *= size;
    }
    List<Integer> ranks = new ArrayList<>();
    for (int rank = 0; rank < count; rank++) {
      ranks.add(firstRank + rank);
    }
    if (random.nextInt(4) == 0) {
      Collections.shuffle(ranks, random);
    }
    Mesh.Builder builder = Mesh.onRanks(ranks);
    for (int i = 0; i < axes.size(); i++) {
      if (sizes.get(i) > 1 || random.nextBoolean()) {
        builder.axis(axes.get(i), sizes.get(i));
      }
    }
    return builder.build();
  }

  private RowLayout side(Mesh mesh, RowCounts counts, int features, AxisType uncommon) {
    Layout layout = layout(mesh, uncommon);
    boolean items = random.nextInt(5) == 0;
    RowLayout.Builder builder =
        items || random.nextBoolean()
            ? RowLayout.of(layout, counts, features)
            : RowLayout.of(layout, placement(counts), features);
    if (items) {
      builder.divideItems();
    }
    if (random.nextInt(3) == 0) {
      builder.packed();
    }
    if (random.nextBoolean()) {
      builder.inSequence();
    }
    if (random.nextInt(4) == 0) {
      builder.assign(
          assignment(
              items ? counts.itemCount() : counts.sampleCount(),
              layout.partCount(RowLayout.SAMPLE_DIM)));
    }
    return builder.build();
  }

  private Layout layout(Mesh mesh, AxisType uncommon) {
    Layout.Builder builder = Layout.on(mesh);
    List<Axis> order = new ArrayList<>(mesh.axes());
    Collections.shuffle(order, random);
    for (Axis axis : order) {
      int choice = random.nextInt(10);
      switch (axis) {
        case DP -> builder.add(axis, choice == 0 ? AxisType.invariant() : AxisType.shard(0));
        case CP -> {
          if (choice < 4) {
            builder.zigzag(axis, 1);
          } else {
            builder.add(axis, choice < 7 ? AxisType.shard(1) : copies(choice, uncommon));
          }
        }
        default ->
            builder.add(axis, choice < 5 ? AxisType.shard(choice % 3) : copies(choice, uncommon));
      }
    }
    return builder.build();
  }

  private static AxisType copies(int choice, AxisType uncommon) {
    return choice == 9 ? uncommon : AxisType.invariant();
  }

  private RowPlacement placement(RowCounts counts) {
    int[] lengths = new int[counts.sampleCount()];
    List<Intervals> positions = new ArrayList<>();
    for (int sample = 0; sample < lengths.length; sample++) {
      int rows = (int) counts.rowsOfSample(sample).size();
      lengths[sample] = rows + random.nextInt(6);
      List<Integer> all = new ArrayList<>();
      for (int position = 0; position < lengths[sample]; position++) {
        all.add(position);
      }
      Collections.shuffle(all, random);
      Intervals.Builder chosen = new Intervals.Builder();
      all.stream().limit(rows).sorted().forEach(position -> chosen.add(position, position + 1));
      positions.add(chosen.build());
    }
    return RowPlacement.inSequence(counts, lengths, positions);
  }

  private List<int[]> assignment(int units, int lanes) {
    List<List<Integer>> chosen = new ArrayList<>();
    for (int lane = 0; lane < lanes; lane++) {
      chosen.add(new ArrayList<>());
    }
    List<Integer> all = new ArrayList<>();
    for (int unit = 0; unit < units; unit++) {
      all.add(unit);
    }
    Collections.shuffle(all, random);
    all.forEach(unit -> chosen.get(random.nextInt(lanes)).add(unit));
    return chosen.stream()
        .map(list -> list.stream().mapToInt(Integer::intValue).toArray())
        .toList();
  }
}
