// receive-go GOROUTINES QUEUE_URL MESSAGES: receives, parses and deletes this many messages with the AWS SDK for Go, as
// build/bench/receive does with lib/sqs: it writes "ready", waits for a line, and prints its costs as JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const patience = 15 * time.Second // without a message

// drain works until everything is done or the time is up.
func drain(ctx context.Context, client *sqs.Client, queueURL string, left *atomic.Int64) error {
	last := time.Now()
	for left.Load() > 0 {
		if time.Since(last) > patience {
			return fmt.Errorf("%d messages did not arrive", left.Load())
		}
		received, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl:                    &queueURL,
			MaxNumberOfMessages:         10,
			WaitTimeSeconds:             1,
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
			MessageAttributeNames:       []string{"All"},
		})
		if err != nil {
			return err
		}
		if len(received.Messages) == 0 {
			continue
		}
		entries := make([]types.DeleteMessageBatchRequestEntry, len(received.Messages))
		for i, message := range received.Messages {
			var body any
			if err := json.Unmarshal([]byte(*message.Body), &body); err != nil {
				return err
			}
			entries[i] = types.DeleteMessageBatchRequestEntry{
				Id: aws.String(strconv.Itoa(i)), ReceiptHandle: message.ReceiptHandle,
			}
		}
		deleted, err := client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &queueURL, Entries: entries})
		if err != nil {
			return err
		}
		left.Add(-int64(len(deleted.Successful)))
		last = time.Now()
	}
	return nil
}

func cpuSeconds() float64 {
	var now syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &now); err != nil {
		log.Fatal(err)
	}
	return float64(now.Utime.Nano()+now.Stime.Nano()) / 1e9
}

// peakKiB is the largest resident size so far. getrusage is not used, because its value begins with the parent's.
func peakKiB() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		log.Fatal(err)
	}
	for _, line := range strings.Split(string(status), "\n") {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d", &kib); n == 1 {
			return kib
		}
	}
	return 0
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: receive-go GOROUTINES QUEUE_URL MESSAGES")
	}
	goroutines, _ := strconv.Atoi(os.Args[1])
	total, _ := strconv.Atoi(os.Args[3])
	queueURL, err := url.Parse(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	client := sqs.NewFromConfig(settings, func(options *sqs.Options) {
		options.BaseEndpoint = aws.String("http://" + queueURL.Host)
	})
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		log.Fatal(err)
	}
	began, cpu := time.Now(), cpuSeconds()
	var left atomic.Int64
	left.Store(int64(total))
	var wait sync.WaitGroup
	for range goroutines {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if err := drain(ctx, client, os.Args[2], &left); err != nil {
				log.Fatal(err)
			}
		}()
	}
	wait.Wait()
	fmt.Printf("{\"messages\":%d,\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"peak_kib\":%d}\n",
		int64(total)-left.Load(), time.Since(began).Seconds(), cpuSeconds()-cpu, peakKiB())
}
