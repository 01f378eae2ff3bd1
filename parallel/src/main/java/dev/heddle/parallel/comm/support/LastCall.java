package dev.heddle.parallel.comm.support;

import org.jspecify.annotations.Nullable;

/**
 * What a rank posted last, as others are to be told it: a meeting that makes a group while it goes
 * on, and else the rank's own last call. Meetings belong to no line of the program, so one that is
 * over would only hide where the program is. Any thread may ask.
 */
public final class LastCall {
  private volatile @Nullable PostedCall own;
  private volatile @Nullable PostedCall meeting;

  /** Takes note of a call in a group. */
  public void posted(PostedCall call, GroupIdentity group) {
    if (group.isMeeting()) {
      meeting = call;
    } else {
      own = call;
    }
  }

  /** The call to tell of; null if there was none. */
  public @Nullable PostedCall get() {
    PostedCall met = meeting;
    return met != null && met.state() != PostedCall.State.COMPLETED ? met : own;
  }
}
