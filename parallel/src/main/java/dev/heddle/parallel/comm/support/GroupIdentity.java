package dev.heddle.parallel.comm.support;

import java.util.List;
import java.util.stream.Collectors;

/**
 * Which group it is: the same name and ranks are the same group, wherever they are asked for.
 *
 * @param name what the group is called in messages
 * @param globalRanks the members' numbers in the world, in member order
 */
public record GroupIdentity(String name, List<Integer> globalRanks) {
  private static final String MEETING = "NCCL meeting of ";

  /** A group of its own list. */
  public GroupIdentity {
    globalRanks = List.copyOf(globalRanks);
  }

  /**
   * What the group is called over whose control communicator the members of {@code group} meet
   * before they can communicate.
   */
  public static String meetingOf(String group) {
    return MEETING + group;
  }

  /** Whether the group is one for a {@linkplain #meetingOf meeting}. */
  public boolean isMeeting() {
    return name.startsWith(MEETING);
  }

  /** The number of members. */
  public int size() {
    return globalRanks.size();
  }

  /** The number in the world of member {@code member}. */
  public int globalRank(int member) {
    return globalRanks.get(member);
  }

  /** For example {@code tp (ranks 0,1)}. */
  public String describe() {
    String ranks = globalRanks.stream().map(String::valueOf).collect(Collectors.joining(","));
    return name + (size() == 1 ? " (rank " : " (ranks ") + ranks + ")";
  }

  /** The part of this group that {@code ranks} are; refuses ranks that are not its members. */
  public GroupIdentity subgroup(String newName, List<Integer> ranks) {
    if (ranks.isEmpty()
        || !globalRanks.containsAll(ranks)
        || ranks.stream().distinct().count() != ranks.size()) {
      throw new IllegalArgumentException(
          "subgroup "
              + newName
              + ": got ranks "
              + ranks
              + ", wanted distinct members of "
              + describe());
    }
    return new GroupIdentity(newName, ranks);
  }
}
