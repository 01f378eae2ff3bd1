package dev.heddle.parallel.context;

import dev.heddle.nn.SequenceSpec;
import dev.heddle.parallel.layout.Arrangement;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Intervals;
import dev.heddle.parallel.layout.Split;
import dev.heddle.runtime.AttentionMask;
import java.util.ArrayList;
import java.util.List;

/**
 * How ranks that divide the positions of some sequences compute their attention, as data: who holds
 * which positions, and which tiles of queries and keys each rank computes when. Made from the
 * sequences alone, alike on every rank; nothing is sent to make it.
 *
 * <p>A lane of S positions is cut into {@code 2 parts} chunks; part i has chunk i and chunk {@code
 * 2 parts - 1 - i}, in this order. So with a causal mask every part has early queries, which see
 * few keys, and late ones, which see many. Documents are of any lengths: one may lie on several
 * ranks, and a part may have pieces of many. Parts may be empty.
 *
 * <p>Tiles that no query sees are left out, and a tile is cut to what its queries see: no work is
 * done for hidden keys, but for the kernel's own blocks along the diagonal.
 */
public final class ContextPlan {
  private final SequenceSpec sequence;
  private final int parts;
  private final boolean causal;
  private final List<List<Piece>> pieces;
  private final List<Piece> documents;

  /** Consecutive positions of one document: [start, end) of the lane, from {@code place} on. */
  private record Piece(int document, long start, long end, long place) {}

  private ContextPlan(SequenceSpec sequence, int parts, boolean causal) {
    this.sequence = sequence;
    this.parts = parts;
    this.causal = causal;
    this.pieces = new ArrayList<>(parts);
    for (int part = 0; part < parts; part++) {
      pieces.add(pieces(positions(part)));
    }
    this.documents = pieces(Intervals.of(0, sequence.length()));
  }

  /**
   * The plan of a group.
   *
   * @param sequence the sequences before division
   * @param parts how many ranks divide them
   * @param causal whether a query sees no later keys
   */
  public static ContextPlan of(SequenceSpec sequence, int parts, boolean causal) {
    return new ContextPlan(sequence, parts, causal);
  }

  /** Whether this is the plan of these sequences. */
  boolean isOf(SequenceSpec other, boolean otherCausal) {
    return causal == otherCausal && sequence.equals(other);
  }

  /** The sequences before division. */
  public SequenceSpec sequence() {
    return sequence;
  }

  /** Whether a query sees no later keys. */
  public boolean causal() {
    return causal;
  }

  /** How many ranks divide the sequences. */
  public int parts() {
    return parts;
  }

  /** The positions of a lane that a part has, ascending. */
  public Intervals positions(int part) {
    Intervals lane = Intervals.of(0, sequence.length());
    return Split.part(lane, parts, part, Arrangement.ZIGZAG);
  }

  /** How many positions of a lane a part has. */
  public long size(int part) {
    return chunk(part).size() + chunk(2 * parts - 1 - part).size();
  }

  /** A chunk of the lane's positions, of {@code 2 parts}. */
  Interval chunk(int index) {
    return Split.part(sequence.length(), 2 * parts, index);
  }

  /** The part whose keys a rank has in a step of the ring: its own first, then its neighbours'. */
  public int keysOf(int rank, int step) {
    return Math.floorMod(rank - step, parts);
  }

  /**
   * What a rank computes in a step of the ring; keys by their places in the part they come from.
   */
  public List<AttentionTile> ringTiles(int rank, int step) {
    return tiles(pieces.get(rank), pieces.get(keysOf(rank, step)));
  }

  /** What a rank that has all keys computes, one tile a piece of its queries; keys by position. */
  public List<AttentionTile> laneTiles(int rank) {
    return tiles(pieces.get(rank), documents);
  }

  /** The pairs of a query and a key that a rank computes in a step of the ring, for each lane. */
  public long pairs(int rank, int step) {
    return ringTiles(rank, step).stream().mapToLong(AttentionTile::pairs).sum();
  }

  /** The pairs that a rank computes in all, for each lane and head. */
  public long pairs(int rank) {
    return laneTiles(rank).stream().mapToLong(AttentionTile::pairs).sum();
  }

  private List<Piece> pieces(Intervals positions) {
    List<Piece> cut = new ArrayList<>();
    long place = 0;
    for (int i = 0; i < positions.count(); i++) {
      long start = positions.start(i);
      while (start < positions.end(i)) {
        int document = sequence.documentOf(start);
        long end = Math.min(positions.end(i), sequence.documentEnd(document));
        cut.add(new Piece(document, start, end, place));
        place += end - start;
        start = end;
      }
    }
    return cut;
  }

  private List<AttentionTile> tiles(List<Piece> queries, List<Piece> keys) {
    List<AttentionTile> tiles = new ArrayList<>();
    int first = 0;
    for (Piece query : queries) {
      while (first < keys.size() && keys.get(first).document < query.document) {
        first++;
      }
      for (int i = first; i < keys.size() && keys.get(i).document == query.document; i++) {
        addTile(tiles, query, keys.get(i));
      }
    }
    return tiles;
  }

  private void addTile(List<AttentionTile> tiles, Piece query, Piece key) {
    // Causal: no query sees the keys after the last one, and the queries before the first key none.
    long keyEnd = causal ? Math.min(key.end, query.end) : key.end;
    long queryStart = causal ? Math.max(query.start, key.start) : query.start;
    if (keyEnd <= key.start || query.end <= queryStart) {
      return;
    }
    boolean whole = !causal || keyEnd - 1 <= queryStart;
    tiles.add(
        new AttentionTile(
            query.place + queryStart - query.start,
            query.place + query.end - query.start,
            key.place,
            key.place + keyEnd - key.start,
            whole ? AttentionMask.FULL : new AttentionMask(true, queryStart - key.start, 0)));
  }

  /** The ring as a table: for each rank and step whose keys it has and the tiles it computes. */
  public String table() {
    StringBuilder text = new StringBuilder();
    text.append(
        String.format(
            "ring of %d, %s, %s positions a lane in %d document%s%n",
            parts,
            causal ? "causal" : "full",
            sequence.length(),
            sequence.documentCount(),
            sequence.documentCount() == 1 ? "" : "s"));
    text.append(
        String.format(
            "%4s  %4s  %7s  %-12s  %-12s  %-6s  %12s%n",
            "rank", "step", "keys of", "queries", "keys", "mask", "pairs"));
    for (int rank = 0; rank < parts; rank++) {
      for (int step = 0; step < parts; step++) {
        for (AttentionTile tile : ringTiles(rank, step)) {
          text.append(
              String.format(
                  "%4d  %4d  %7d  %-12s  %-12s  %-6s  %12d%n",
                  rank,
                  step,
                  keysOf(rank, step),
                  new Interval(tile.queryStart(), tile.queryEnd()),
                  new Interval(tile.keyStart(), tile.keyEnd()),
                  tile.mask().causal() ? "causal" : "full",
                  tile.pairs()));
        }
      }
      text.append(String.format("%4d  %4s%59d%n", rank, "all", pairs(rank)));
    }
    return text.toString();
  }

  @Override
  public String toString() {
    return table();
  }
}
