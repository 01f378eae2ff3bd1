package dev.heddle.parallel.layout;

import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The type of a distributed tensor: a mesh, and how each of its axes holds the tensor.
 *
 * <p>Several axes may shard the same dim; they cut it one after the other, in {@code splitOrder},
 * each cutting what the one before left to a rank. The cut is uneven where sizes do not divide
 * ({@link Split}). Every axis longer than 1 has its type said, because the two ways of holding
 * copies, Replicate and Invariant, have different gradients and no default could be right for both.
 *
 * @param mesh the ranks
 * @param types the type of each axis; an axis of size 1 that is left out is Invariant, and a type
 *     for an axis that the mesh does not declare is ignored, as that axis has size 1
 * @param splitOrder the sharding axes, in the order in which they cut
 * @param zigzagAxes the sharding axes whose parts are arranged in zigzag
 */
public record Layout(
    Mesh mesh, Map<Axis, AxisType> types, List<Axis> splitOrder, Set<Axis> zigzagAxes) {

  /** Checks that the parts agree with each other and fills in axes of size 1. */
  public Layout {
    EnumMap<Axis, AxisType> complete = new EnumMap<>(Axis.class);
    complete.putAll(types);
    for (Axis axis : mesh.axes()) {
      if (!complete.containsKey(axis)) {
        if (mesh.size(axis) > 1) {
          throw new IllegalArgumentException(
              "layout: axis "
                  + axis.label()
                  + " of "
                  + mesh
                  + " has no type; say Replicate, Invariant, Shard(dim), Varying or Partial");
        }
        complete.put(axis, AxisType.invariant());
      }
    }
    // An axis that the mesh does not declare has size 1: a type for it changes nothing.
    complete.keySet().retainAll(mesh.axes());
    Set<Axis> sharding = EnumSet.noneOf(Axis.class);
    complete.forEach(
        (axis, type) -> {
          if (type instanceof AxisType.Shard) {
            sharding.add(axis);
          }
        });
    splitOrder = splitOrder.stream().filter(mesh.axes()::contains).toList();
    Set<Axis> zigzag = EnumSet.noneOf(Axis.class);
    zigzag.addAll(zigzagAxes);
    zigzag.retainAll(mesh.axes());
    if (splitOrder.size() != sharding.size() || !sharding.containsAll(splitOrder)) {
      throw new IllegalArgumentException(
          "layout: got split order "
              + splitOrder
              + ", wanted each sharding axis once: "
              + sharding);
    }
    if (!sharding.containsAll(zigzag)) {
      throw new IllegalArgumentException(
          "layout: got zigzag along " + zigzag + ", wanted only sharding axes: " + sharding);
    }
    types = Collections.unmodifiableMap(complete);
    zigzagAxes = Collections.unmodifiableSet(zigzag);
  }

  /** Begins a layout on a mesh. */
  public static Builder on(Mesh mesh) {
    return new Builder(mesh);
  }

  /** How an axis holds the tensor; Invariant when the mesh does not have the axis. */
  public AxisType type(Axis axis) {
    return types.getOrDefault(axis, AxisType.invariant());
  }

  /** The layout of the gradient: the same mesh and cuts, each type replaced by its dual. */
  public Layout gradient() {
    EnumMap<Axis, AxisType> duals = new EnumMap<>(Axis.class);
    types.forEach((axis, type) -> duals.put(axis, type.dual()));
    return new Layout(mesh, duals, splitOrder, zigzagAxes);
  }

  /** This layout with another type for an axis that is not, and does not become, a Shard. */
  public Layout with(Axis axis, AxisType type) {
    EnumMap<Axis, AxisType> changed = new EnumMap<>(Axis.class);
    changed.putAll(types);
    changed.put(axis, type);
    return new Layout(mesh, changed, splitOrder, zigzagAxes);
  }

  /** The axes that cut a dim, in the order in which they cut it. */
  public List<Axis> axesSharding(int dim) {
    return splitOrder.stream()
        .filter(axis -> types.get(axis) instanceof AxisType.Shard shard && shard.dim() == dim)
        .toList();
  }

  /** Into how many parts a dim is cut; 1 when no axis shards it. */
  public int partCount(int dim) {
    int parts = 1;
    for (Axis axis : axesSharding(dim)) {
      parts *= mesh.size(axis);
    }
    return parts;
  }

  /** Which of the {@link #partCount} parts of a dim the rank holds; the first cut counts most. */
  public int partIndex(int rank, int dim) {
    int index = 0;
    for (Axis axis : axesSharding(dim)) {
      index = index * mesh.size(axis) + mesh.coordinate(rank, axis);
    }
    return index;
  }

  /** Which indices of a dim of the given size the rank holds. */
  public Intervals owned(int rank, int dim, long size) {
    Intervals owned = Intervals.of(0, size);
    for (Axis axis : axesSharding(dim)) {
      Arrangement arrangement =
          zigzagAxes.contains(axis) ? Arrangement.ZIGZAG : Arrangement.CONTIGUOUS;
      owned = Split.part(owned, mesh.size(axis), mesh.coordinate(rank, axis), arrangement);
    }
    return owned;
  }

  /** For example {@code tp=2 dp=2 on ranks 0-3: tp Invariant, dp Shard(0)}. */
  @Override
  public String toString() {
    String described =
        mesh.axes().stream()
            .map(
                axis ->
                    axis.label()
                        + " "
                        + types.get(axis)
                        + (zigzagAxes.contains(axis) ? " zigzag" : ""))
            .collect(Collectors.joining(", "));
    return mesh + (described.isEmpty() ? "" : ": " + described);
  }

  /** Collects the type of each axis; sharding axes cut in the order in which they are named. */
  public static final class Builder {
    private final Mesh mesh;
    private final Map<Axis, AxisType> types = new EnumMap<>(Axis.class);
    private final List<Axis> splitOrder = new ArrayList<>();
    private final Set<Axis> zigzagAxes = EnumSet.noneOf(Axis.class);

    private Builder(Mesh mesh) {
      this.mesh = mesh;
    }

    /** The axis cuts a dim into consecutive parts. */
    public Builder shard(Axis axis, int dim) {
      return add(axis, AxisType.shard(dim));
    }

    /** The axis cuts a dim into parts of two chunks each, one early and one late. */
    public Builder zigzag(Axis axis, int dim) {
      zigzagAxes.add(axis);
      return add(axis, AxisType.shard(dim));
    }

    /** The ranks along the axis hold copies and use them identically. */
    public Builder invariant(Axis axis) {
      return add(axis, AxisType.invariant());
    }

    /** The ranks along the axis hold copies and use them each on its own. */
    public Builder replicate(Axis axis) {
      return add(axis, AxisType.replicate());
    }

    /** The ranks along the axis hold summands. */
    public Builder partial(Axis axis) {
      return add(axis, AxisType.partial());
    }

    /** Gives an axis its type. */
    public Builder add(Axis axis, AxisType type) {
      if (types.put(axis, type) != null) {
        throw new IllegalArgumentException(
            "layout: axis " + axis.label() + " was given a type twice; give each axis one type");
      }
      if (type instanceof AxisType.Shard) {
        splitOrder.add(axis);
      }
      return this;
    }

    /**
     * The layout.
     *
     * @throws IllegalArgumentException when an axis longer than 1 has no type
     */
    public Layout build() {
      return new Layout(mesh, types, splitOrder, zigzagAxes);
    }
  }
}
