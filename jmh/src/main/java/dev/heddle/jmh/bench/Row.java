package dev.heddle.jmh.bench;

import dev.heddle.jmh.boundary.Volume;
import dev.heddle.train.json.Json;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One comparison: what something costs here and there, measured in turns in one run. Less is always
 * better.
 *
 * @param name what was measured
 * @param threads threads, or ranks, of either side
 * @param dtype how numbers are stored and multiplied
 * @param ours median of our turns
 * @param peer median of the peer's turns
 * @param peerName what the peer is
 * @param unit of both: ms, us, ns or MiB
 * @param target the largest ratio that is wanted, or NaN where none was set
 * @param volume the bytes that ours moves, where the row is a boundary; its unit is us
 */
record Row(
    String name,
    int threads,
    String dtype,
    double ours,
    double peer,
    String peerName,
    String unit,
    double target,
    @Nullable Volume volume) {
  /** A row that is no boundary. */
  Row(
      String name,
      int threads,
      String dtype,
      double ours,
      double peer,
      String peerName,
      String unit,
      double target) {
    this(name, threads, dtype, ours, peer, peerName, unit, target, null);
  }

  /** Ours by the peer's; below 1 we are ahead. */
  double ratio() {
    return ours / peer;
  }

  /** Whether a target was set and is missed. */
  boolean isBehind() {
    return ratio() > target;
  }

  /** Reads what {@link #json} wrote. */
  static Row of(Map<String, @Nullable Object> map) {
    return new Row(
        Json.text(map.get("name"), "name"),
        Math.toIntExact(Json.whole(map.get("threads"), "threads")),
        Json.text(map.get("dtype"), "dtype"),
        Json.number(map.get("ours"), "ours"),
        Json.number(map.get("peer"), "peer"),
        Json.text(map.get("peerName"), "peerName"),
        Json.text(map.get("unit"), "unit"),
        Json.number(map.get("target"), "target"),
        map.containsKey("bytesWritten") ? volumeOf(map) : null);
  }

  private static Volume volumeOf(Map<String, @Nullable Object> map) {
    long blank = Json.whole(map.get("bytesBlank"), "bytesBlank");
    return new Volume(
        Json.whole(map.get("bytesWritten"), "bytesWritten") - blank,
        blank,
        Json.whole(map.get("bytesSent"), "bytesSent"),
        Json.whole(map.get("leastBytesSent"), "leastBytesSent"));
  }

  /** What a JSON file says of it. */
  Map<String, @Nullable Object> json() {
    Map<String, @Nullable Object> map = new LinkedHashMap<>();
    map.put("name", name);
    map.put("threads", (long) threads);
    map.put("dtype", dtype);
    map.put("ours", ours);
    map.put("peer", peer);
    map.put("peerName", peerName);
    map.put("ratio", ratio());
    map.put("unit", unit);
    map.put("target", Double.isNaN(target) ? null : target);
    if (volume != null) {
      map.put("bytesWritten", volume.written());
      map.put("bytesBlank", volume.blank());
      map.put("gigabytesPerSecond", volume.gigabytesPerSecond(ours));
      map.put("bytesSent", volume.sent());
      map.put("leastBytesSent", volume.least());
    }
    return map;
  }
}
