/*
 * Times MPI operations in C, for comparison with Heddle's over the same library. Led over the
 * standard input of rank 0, one turn a line:
 *
 *   OPERATION BYTES COUNT        allReduce, allGather, reduceScatter or pingPong
 *
 * Answers "MICROS x": microseconds of one operation (of one way, for pingPong), barriers around
 * COUNT of them included. BYTES are those of the whole array, F32. "quit" or the end of the input
 * ends it. Ranks that wait for a turn sleep, so that they do not disturb who is measured meanwhile.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, PING_PONG, OPERATIONS };

static const char *const NAMES[OPERATIONS] = {"allReduce", "allGather", "reduceScatter", "pingPong"};

static int rank, size;

/* What a turn needs; the buffers are of `whole` numbers. */
typedef struct {
  int operation;
  long whole, part;
  float *values, *scratch;
} turn_t;

static void once(const turn_t *turn) {
  float *values = turn->values;
  int count = (int)turn->whole, part = (int)turn->part;
  switch (turn->operation) {
    case ALL_REDUCE:
      MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
      break;
    case ALL_GATHER:
      MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, values, part, MPI_FLOAT, MPI_COMM_WORLD);
      break;
    case REDUCE_SCATTER:
      MPI_Reduce_scatter_block(values, turn->scratch, part, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
      break;
    case PING_PONG:
      if (rank == 0) {
        MPI_Send(values, count, MPI_FLOAT, 1, 0, MPI_COMM_WORLD);
        MPI_Recv(values, count, MPI_FLOAT, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      } else if (rank == 1) {
        MPI_Recv(values, count, MPI_FLOAT, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        MPI_Send(values, count, MPI_FLOAT, 0, 0, MPI_COMM_WORLD);
      }
      break;
  }
}

static void fill(float *values, long count, float value) {
  for (long i = 0; i < count; i++) values[i] = value;
}

/* What is measured must be right. */
static void check(const turn_t *turn) {
  fill(turn->values, turn->whole, (float)(rank + 1));
  once(turn);
  float sum = (float)size * (size + 1) / 2;
  for (long i = 0; i < turn->whole; i++) {
    float got, wanted;
    switch (turn->operation) {
      case ALL_REDUCE: got = turn->values[i]; wanted = sum; break;
      case ALL_GATHER: got = turn->values[i]; wanted = (float)(i / turn->part + 1); break;
      case REDUCE_SCATTER: got = turn->scratch[i % turn->part]; wanted = sum; break;
      default: got = turn->values[i]; wanted = rank < 2 ? 1 : (float)(rank + 1); break;
    }
    if (got != wanted) {
      fprintf(stderr, "mpi_operations: %s of %ld numbers, rank %d: got %g at %ld, wanted %g\n",
              NAMES[turn->operation], turn->whole, rank, got, i, wanted);
      MPI_Abort(MPI_COMM_WORLD, 1);
    }
  }
  /* Zeros, so that sums of sums stay finite. */
  fill(turn->values, turn->whole, 0);
}

/* The next turn's operation, bytes and count, on every rank; 0 when there is none. */
static int next(long command[3]) {
  if (rank == 0) {
    char line[128], name[32];
    command[0] = -1;
    if (fgets(line, sizeof line, stdin)
        && sscanf(line, "%31s %ld %ld", name, &command[1], &command[2]) == 3) {
      for (int i = 0; i < OPERATIONS; i++) {
        if (strcmp(name, NAMES[i]) == 0) command[0] = i;
      }
    }
    for (int i = 1; i < size; i++) MPI_Send(command, 3, MPI_LONG, i, 1, MPI_COMM_WORLD);
  } else {
    int there = 0;
    while (!there) {
      MPI_Iprobe(0, 1, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE);
      if (!there) usleep(500);
    }
    MPI_Recv(command, 3, MPI_LONG, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  return command[0] >= 0;
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (size < 2) {
    fprintf(stderr, "mpi_operations: got 1 process, wanted at least 2: mpirun -n 2\n");
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  long command[3];
  while (next(command)) {
    turn_t turn = {.operation = (int)command[0]};
    turn.part = command[1] / (long)sizeof(float) / size;
    turn.whole = turn.part * size;
    turn.values = malloc(turn.whole * sizeof(float));
    turn.scratch = malloc(turn.part * sizeof(float));
    if (!turn.values || !turn.scratch) MPI_Abort(MPI_COMM_WORLD, 3);
    check(&turn);
    /* Processes that have just woken may share a core for some hundred operations. */
    for (long i = 0; i < command[2] / 2; i++) once(&turn);
    MPI_Barrier(MPI_COMM_WORLD);
    double start = MPI_Wtime();
    for (long i = 0; i < command[2]; i++) once(&turn);
    MPI_Barrier(MPI_COMM_WORLD);
    double seconds = MPI_Wtime() - start;
    if (turn.operation == PING_PONG) seconds /= 2;
    if (rank == 0) {
      printf("MICROS %.4f\n", seconds * 1e6 / command[2]);
      fflush(stdout);
    }
    free(turn.values);
    free(turn.scratch);
  }
  MPI_Finalize();
  return 0;
}
