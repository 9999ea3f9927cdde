package main

import (
	"math/bits"
	"time"
)

// A histogram whose buckets are at most 1/128 of their value wide, as in HdrHistogram with two digits.
// A value is counted by its highest eight bits, so 1 ns to hours take under 8,000 counters.
type histogram struct {
	counts [64 * half]uint64
	total  uint64
	max    time.Duration
}

const (
	half     = 128
	halfBits = 7
)

func (h *histogram) add(value time.Duration) {
	value = max(value, 0)
	h.counts[bucketOf(uint64(value))]++
	h.total++
	h.max = max(h.max, value)
}

func bucketOf(value uint64) int {
	shift := max(bits.Len64(value)-halfBits-1, 0)
	return shift*half + int(value>>shift)
}

// highestOf is the largest value that falls into the bucket.
func highestOf(bucket int) uint64 {
	shift := max(bucket/half-1, 0)
	return (uint64(bucket-shift*half)+1)<<shift - 1
}

// quantile is the value that `part` of all values do not exceed; part is above 0 and at most 1.
func (h *histogram) quantile(part float64) time.Duration {
	wanted := max(uint64(part*float64(h.total)+0.999999), 1)
	var seen uint64
	for bucket, count := range h.counts {
		if seen += count; seen >= wanted {
			return min(time.Duration(highestOf(bucket)), h.max)
		}
	}
	return h.max
}
