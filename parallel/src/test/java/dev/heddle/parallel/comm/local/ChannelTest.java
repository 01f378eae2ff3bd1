package dev.heddle.parallel.comm.local;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.parallel.comm.Message;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/**
 * The ends of a channel meet without a lock: each delivery gets both, or is taken back, not both.
 */
@SuppressWarnings("try") // scopes are there to be open
class ChannelTest {
  private static final int MESSAGES = 20_000;

  private interface Body {
    void run(Message send, Message receive) throws Exception;
  }

  private static void withMessages(Body body) throws Exception {
    try (CpuDevice device = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
        MemoryScope scope = MemoryScope.open()) {
      NDArray array = NDArray.zeros(device, DType.F32, 3);
      body.run(Message.send(1, array), Message.receive(0, array));
    }
  }

  @Test
  void ends_inAnyOrder_matchByTheirNumber() throws Exception {
    withMessages(
        (send, receive) -> {
          Channel channel = new Channel(0, 1);
          Delivery first = channel.post(send);
          Delivery second = channel.post(send);

          assertThat(channel.post(receive)).isSameAs(first);
          assertThat(channel.post(receive)).isSameAs(second);
          Delivery third = channel.post(receive);
          assertThat(channel.post(send)).isSameAs(third);
          assertThat(third.number).isEqualTo(2);
        });
  }

  @Test
  void aDelivery_takenBack_isNeverCopied() throws Exception {
    withMessages(
        (send, receive) -> {
          Channel channel = new Channel(0, 1);
          Delivery delivery = channel.post(send);

          assertThat(delivery.cancel()).isTrue();
          assertThat(channel.post(receive)).isSameAs(delivery);
          delivery.match();

          assertThat(delivery.isMatched()).isFalse();
          assertThat(delivery.take()).isFalse();
          assertThat(delivery.isHalf()).isTrue();
          assertThat(delivery.cancel()).isTrue();
        });
  }

  @Test
  void aDelivery_withBothEnds_cannotBeTakenBack() throws Exception {
    withMessages(
        (send, receive) -> {
          Channel channel = new Channel(0, 1);
          Delivery delivery = channel.post(send);

          assertThat(channel.post(receive)).isSameAs(delivery);
          assertThat(delivery.isMatched()).isFalse();
          delivery.match();

          assertThat(delivery.cancel()).isFalse();
          assertThat(delivery.take()).isTrue();
          assertThat(delivery.cancel()).isFalse();
          assertThat(delivery.take()).isFalse();
        });
  }

  @Test
  void twoThreads_postingAtOnce_agreeOnEveryDelivery() throws Exception {
    withMessages(
        (send, receive) -> {
          Channel channel = new Channel(0, 1);
          Delivery[] sent = new Delivery[MESSAGES];
          Delivery[] received = new Delivery[MESSAGES];
          AtomicInteger matched = new AtomicInteger();
          CountDownLatch ready = new CountDownLatch(2);
          ExecutorService threads = Executors.newFixedThreadPool(2);
          try {
            Future<?> sender = threads.submit(() -> post(channel, send, sent, matched, ready));
            Future<?> receiver =
                threads.submit(() -> post(channel, receive, received, matched, ready));
            sender.get(1, TimeUnit.MINUTES);
            receiver.get(1, TimeUnit.MINUTES);
          } finally {
            threads.shutdownNow();
          }

          assertThat(received).containsExactly(sent);
          assertThat(matched).hasValue(MESSAGES);
          for (int i = 0; i < MESSAGES; i++) {
            assertThat(sent[i].number).isEqualTo(i);
            assertThat(sent[i].isMatched()).isTrue();
            if (i + 1 < MESSAGES) {
              assertThat(sent[i].next()).as("link behind delivery %s", i).isNull();
            }
          }
        });
  }

  private static void post(
      Channel channel,
      Message message,
      Delivery[] deliveries,
      AtomicInteger matched,
      CountDownLatch ready) {
    ready.countDown();
    while (ready.getCount() > 0) {
      Thread.onSpinWait();
    }
    for (int i = 0; i < MESSAGES; i++) {
      Delivery delivery = channel.post(message);
      deliveries[i] = delivery;
      if (delivery.firstEnd() != message) {
        delivery.match();
        matched.incrementAndGet();
      }
    }
  }
}
