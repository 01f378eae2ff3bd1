package dev.heddle.parallel.mesh;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * An ordered set of ranks laid out on a grid with named axes.
 *
 * <p>The axis declared first varies fastest: with {@code tp=2} then {@code dp=2} on ranks 0 to 3,
 * the TP groups are {0,1} and {2,3}, the DP groups {0,2} and {1,3}. An axis that is not declared
 * has size 1, and every rank has coordinate 0 along it. Immutable; equal when ranks, axes and sizes
 * are equal in order.
 */
public final class Mesh {
  /** Of how many runs of ranks text is made before some are left out. */
  private static final int SHOWN_RUNS = 8;

  private final int[] ranks;
  private final List<Axis> axes;
  private final EnumMap<Axis, Integer> sizes;
  private final EnumMap<Axis, Integer> strides = new EnumMap<>(Axis.class);
  private final Map<Integer, Integer> positions;

  private Mesh(int[] ranks, List<Axis> axes, EnumMap<Axis, Integer> sizes) {
    this.ranks = ranks;
    this.axes = List.copyOf(axes);
    this.sizes = sizes;
    int stride = 1;
    for (Axis axis : axes) {
      strides.put(axis, stride);
      stride *= size(axis);
    }
    positions = HashMap.newHashMap(ranks.length);
    for (int position = 0; position < ranks.length; position++) {
      positions.put(ranks[position], position);
    }
  }

  /** Begins a mesh on {@code rankCount} consecutive ranks, the first of them {@code firstRank}. */
  public static Builder onRanks(int firstRank, int rankCount) {
    if (rankCount < 1) {
      throw new IllegalArgumentException(
          "mesh: got "
              + rankCount
              + " ranks, wanted at least 1; give the component the ranks it runs on");
    }
    return new Builder(IntStream.range(firstRank, firstRank + rankCount).toArray());
  }

  /** Begins a mesh on the given distinct ranks, laid out in the order given. */
  public static Builder onRanks(List<Integer> ranks) {
    if (ranks.isEmpty()) {
      throw new IllegalArgumentException(
          "mesh: got no ranks, wanted at least 1; give the component the ranks it runs on");
    }
    return new Builder(ranks.stream().mapToInt(Integer::intValue).toArray());
  }

  /** A mesh of one rank, without axes. */
  public static Mesh single(int rank) {
    return onRanks(rank, 1).build();
  }

  /** The ranks in mesh order: first declared axis fastest. */
  public List<Integer> ranks() {
    return Arrays.stream(ranks).boxed().toList();
  }

  /** The number of ranks: the product of the axis sizes. */
  public int rankCount() {
    return ranks.length;
  }

  /** The rank at a position of mesh order, 0 to {@link #rankCount()} - 1. */
  public int rankAt(int position) {
    return ranks[position];
  }

  /** The declared axes, fastest first. */
  public List<Axis> axes() {
    return axes;
  }

  /** The number of ranks along an axis; 1 when the axis is not declared. */
  public int size(Axis axis) {
    return sizes.getOrDefault(axis, 1);
  }

  /** Whether the rank is in this mesh. */
  public boolean contains(int rank) {
    return positions.containsKey(rank);
  }

  /**
   * The position of a rank in mesh order.
   *
   * @throws IllegalArgumentException when the rank is not in this mesh
   */
  public int position(int rank) {
    Integer position = positions.get(rank);
    if (position == null) {
      throw new IllegalArgumentException(
          "mesh: rank "
              + rank
              + " is not in "
              + this
              + "; ask only for ranks for which contains(rank) is true");
    }
    return position;
  }

  /** The coordinate of a rank along an axis, 0 when the axis is not declared. */
  public int coordinate(int rank, Axis axis) {
    int position = position(rank);
    Integer stride = strides.get(axis);
    return stride == null ? 0 : position / stride % size(axis);
  }

  /** The coordinates of a rank along the declared axes, in declared order. */
  public Map<Axis, Integer> coordinates(int rank) {
    EnumMap<Axis, Integer> coordinates = new EnumMap<>(Axis.class);
    axes.forEach(axis -> coordinates.put(axis, coordinate(rank, axis)));
    return coordinates;
  }

  /**
   * The rank at the given coordinates; an axis left out has coordinate 0.
   *
   * @throws IllegalArgumentException when a coordinate is outside its axis
   */
  public int rank(Map<Axis, Integer> coordinates) {
    int position = 0;
    for (Map.Entry<Axis, Integer> entry : coordinates.entrySet()) {
      Axis axis = entry.getKey();
      int coordinate = checkCoordinate(axis, entry.getValue());
      position += coordinate * strides.getOrDefault(axis, 0);
    }
    return ranks[position];
  }

  /**
   * The ranks that differ from {@code rank} only along the given axes, itself included. Their order
   * is mesh order (the axis declared first varies fastest), whatever the order of the arguments.
   */
  public List<Integer> group(int rank, Axis... along) {
    Set<Axis> varying = declared(along);
    int start = position(rank);
    for (Axis axis : varying) {
      start -= coordinate(rank, axis) * stride(axis);
    }
    return ranksFrom(start, varying);
  }

  /**
   * All groups along the given axes. They divide the mesh; their order is mesh order of the
   * remaining axes, and so the same on every rank.
   */
  public List<List<Integer>> groups(Axis... along) {
    Set<Axis> varying = declared(along);
    Set<Axis> fixed = EnumSet.noneOf(Axis.class);
    fixed.addAll(axes);
    fixed.removeAll(varying);
    List<List<Integer>> groups = new ArrayList<>();
    for (int first : ranksFrom(0, fixed)) {
      groups.add(ranksFrom(position(first), varying));
    }
    return groups;
  }

  /** The index of a rank within {@link #group}. */
  public int indexInGroup(int rank, Axis... along) {
    Set<Axis> varying = declared(along);
    int index = 0;
    int stride = 1;
    for (Axis axis : axes) {
      if (varying.contains(axis)) {
        index += coordinate(rank, axis) * stride;
        stride *= size(axis);
      }
    }
    return index;
  }

  /**
   * The part of this mesh at one coordinate of an axis, without that axis: for example the ranks of
   * the last pipeline stage.
   */
  public Mesh at(Axis axis, int coordinate) {
    checkCoordinate(axis, coordinate);
    List<Axis> remaining = axes.stream().filter(other -> other != axis).toList();
    EnumMap<Axis, Integer> remainingSizes = new EnumMap<>(sizes);
    remainingSizes.remove(axis);
    int[] chosen =
        Arrays.stream(ranks).filter(rank -> coordinate(rank, axis) == coordinate).toArray();
    return new Mesh(chosen, remaining, remainingSizes);
  }

  /** Whether the two meshes have no rank in common. */
  public boolean isDisjointFrom(Mesh other) {
    return Arrays.stream(ranks).noneMatch(other::contains);
  }

  /** Whether the two meshes cover the same ranks, in whatever order and with whatever axes. */
  public boolean hasSameRanksAs(Mesh other) {
    return ranks.length == other.ranks.length && Arrays.stream(ranks).allMatch(other::contains);
  }

  private int stride(Axis axis) {
    return strides.getOrDefault(axis, 0);
  }

  private int checkCoordinate(Axis axis, int coordinate) {
    if (coordinate < 0 || coordinate >= size(axis)) {
      throw new IllegalArgumentException(
          "mesh: got coordinate "
              + coordinate
              + " along "
              + axis.label()
              + ", wanted 0 to "
              + (size(axis) - 1)
              + " in "
              + this);
    }
    return coordinate;
  }

  /** The asked-for axes that exist here; the others have size 1 and change no group. */
  private Set<Axis> declared(Axis... along) {
    Set<Axis> set = EnumSet.noneOf(Axis.class);
    set.addAll(Arrays.asList(along));
    set.retainAll(axes);
    return set;
  }

  private List<Integer> ranksFrom(int start, Set<Axis> varying) {
    List<Integer> found = List.of(start);
    for (Axis axis : axes) {
      if (varying.contains(axis)) {
        List<Integer> grown = new ArrayList<>(found.size() * size(axis));
        for (int coordinate = 0; coordinate < size(axis); coordinate++) {
          for (int position : found) {
            grown.add(position + coordinate * stride(axis));
          }
        }
        found = grown;
      }
    }
    return found.stream().map(position -> ranks[position]).toList();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Mesh mesh
        && Arrays.equals(ranks, mesh.ranks)
        && axes.equals(mesh.axes)
        && sizes.equals(mesh.sizes);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(ranks) + axes.hashCode() + sizes.hashCode();
  }

  /** For example {@code tp=2 dp=2 on ranks 0-3}. */
  @Override
  public String toString() {
    String grid =
        axes.stream().map(axis -> axis.label() + "=" + size(axis)).collect(Collectors.joining(" "));
    return (grid.isEmpty() ? "" : grid + " ") + "on " + describeRanks();
  }

  private String describeRanks() {
    if (ranks.length == 1) {
      return "rank " + ranks[0];
    }
    List<String> runs = new ArrayList<>();
    for (int start = 0, end; start < ranks.length; start = end) {
      end = start + 1;
      while (end < ranks.length && ranks[end] == ranks[end - 1] + 1) {
        end++;
      }
      runs.add(end == start + 1 ? "" + ranks[start] : ranks[start] + "-" + ranks[end - 1]);
    }
    if (runs.size() > SHOWN_RUNS) {
      return "%d ranks %s,..,%s"
          .formatted(
              ranks.length, String.join(",", runs.subList(0, SHOWN_RUNS - 1)), runs.getLast());
    }
    return "ranks " + String.join(",", runs);
  }

  /** Collects the axes of a mesh; the axis declared first varies fastest. */
  public static final class Builder {
    private final int[] ranks;
    private final List<Axis> axes = new ArrayList<>();
    private final EnumMap<Axis, Integer> sizes = new EnumMap<>(Axis.class);

    private Builder(int[] ranks) {
      this.ranks = ranks;
    }

    /** Declares the next axis. */
    public Builder axis(Axis axis, int size) {
      if (size < 1) {
        throw new IllegalArgumentException(
            "mesh: got size "
                + size
                + " for axis "
                + axis.label()
                + ", wanted at least 1; leave an axis out to give it size 1");
      }
      if (sizes.put(axis, size) != null) {
        throw new IllegalArgumentException(
            "mesh: axis " + axis.label() + " was declared twice; declare each axis once");
      }
      axes.add(axis);
      return this;
    }

    /**
     * The mesh.
     *
     * @throws IllegalArgumentException when the axis sizes do not multiply to the number of ranks,
     *     or a rank is negative or listed twice
     */
    public Mesh build() {
      long product = 1;
      for (int size : sizes.values()) {
        product = Math.multiplyExact(product, size);
      }
      Mesh mesh = new Mesh(ranks, List.of(), new EnumMap<>(Axis.class));
      if (product != ranks.length) {
        String grid =
            axes.stream()
                .map(axis -> axis.label() + "=" + sizes.get(axis))
                .collect(Collectors.joining(" x "));
        throw new IllegalArgumentException(
            "mesh: got "
                + ranks.length
                + " ranks ("
                + mesh.describeRanks()
                + ") for "
                + (grid.isEmpty() ? "no axes" : grid)
                + ", which needs "
                + product
                + "; change the ranks or an axis size so that they agree");
      }
      for (int position = 0; position < ranks.length; position++) {
        if (ranks[position] < 0) {
          throw new IllegalArgumentException(
              "mesh: got rank " + ranks[position] + ", wanted 0 or more; number ranks from 0");
        }
        if (mesh.position(ranks[position]) != position) {
          throw new IllegalArgumentException(
              "mesh: rank " + ranks[position] + " is listed twice; list each rank once");
        }
      }
      return new Mesh(ranks, axes, sizes);
    }
  }
}
