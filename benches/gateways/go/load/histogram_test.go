package main

import (
	"testing"
	"time"
)

func TestEveryValueLiesInItsBucketAndBucketsAreNarrow(t *testing.T) {
	for value := uint64(0); value < 1<<40; value += value/97 + 1 {
		bucket := bucketOf(value)
		highest := highestOf(bucket)
		if highest < value || highest-value > value/half {
			t.Fatalf("%d is in bucket %d, which ends at %d", value, bucket, highest)
		}
		if next := bucketOf(highest + 1); next != bucket+1 {
			t.Fatalf("after bucket %d, which ends at %d, comes %d", bucket, highest, next)
		}
	}
}

func TestQuantilesOfAKnownSet(t *testing.T) {
	var latencies histogram
	for value := 1; value <= 1000; value++ {
		latencies.add(time.Duration(value) * time.Millisecond)
	}
	for part, wanted := range map[float64]float64{0.5: 500, 0.9: 900, 0.99: 990, 0.999: 999, 1: 1000} {
		found := latencies.quantile(part).Seconds() * 1e3
		if found < wanted || found > wanted*(1+1.0/half) {
			t.Errorf("quantile %v is %v ms, expected %v", part, found, wanted)
		}
	}
	if latencies.max != time.Second {
		t.Errorf("the largest is %v, expected 1 s", latencies.max)
	}
}
