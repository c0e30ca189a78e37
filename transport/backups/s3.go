package backups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// An S3 keeps backups as objects of a bucket, in any store that speaks S3.
type S3 struct {
	client         *minio.Client
	transport      *http.Transport
	bucket, prefix string
}

// S3Options say where the bucket is, and who asks.
type S3Options struct {
	URL      string // s3://BUCKET/PREFIX
	Endpoint string // https://HOST, http://HOST
	Region   string
	Key      string
	Secret   string
}

// defaultEndpoint is that of Amazon.
const defaultEndpoint = "https://s3.amazonaws.com"

// NewS3 asks nobody yet.
func NewS3(o S3Options) (*S3, error) {
	to, err := url.Parse(o.URL)
	if err != nil || to.Scheme != "s3" || to.Host == "" {
		return nil, errors.New("it must be s3://BUCKET or s3://BUCKET/PREFIX")
	}
	if o.Endpoint == "" {
		o.Endpoint = defaultEndpoint
	}
	at, err := url.Parse(o.Endpoint)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" || strings.Trim(at.Path, "/") != "" {
		return nil, errors.New("the endpoint must be https://HOST or http://HOST")
	}
	if o.Key == "" || o.Secret == "" {
		return nil, errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set in the environment")
	}
	transport, err := minio.DefaultTransport(at.Scheme == "https")
	if err != nil {
		return nil, err
	}
	client, err := minio.New(at.Host, &minio.Options{
		Transport: transport, Creds: credentials.NewStaticV4(o.Key, o.Secret, ""), Secure: at.Scheme == "https", Region: o.Region,
	})
	if err != nil {
		return nil, err
	}
	return &S3{client, transport, to.Host, strings.Trim(to.Path, "/")}, nil
}

// close ends connections that are kept open for the next request.
func (s *S3) close() { s.transport.CloseIdleConnections() }

func (s *S3) object(name string) string { return path.Join(s.prefix, name) }

// Put implements [Target]. The store compares each part with its checksum.
func (s *S3) Put(ctx context.Context, name, file string) error {
	info, err := s.client.FPutObject(ctx, s.bucket, s.object(name), file, minio.PutObjectOptions{ContentType: "application/octet-stream", SendContentMd5: true})
	if err != nil {
		return fmt.Errorf("put the backup into the bucket: %w", err)
	}
	there, err := s.client.StatObject(ctx, s.bucket, s.object(name), minio.StatObjectOptions{})
	switch {
	case err != nil:
		return fmt.Errorf("look for the backup in the bucket: %w", err)
	case there.Size != info.Size:
		return fmt.Errorf("the bucket has %d bytes of the backup, which has %d", there.Size, info.Size)
	}
	return nil
}

// Get implements [Target].
func (s *S3) Get(ctx context.Context, name string, w io.Writer) error {
	object, err := s.client.GetObject(ctx, s.bucket, s.object(name), minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer object.Close()
	_, err = io.Copy(w, object)
	return err
}

// List implements [Target].
func (s *S3) List(ctx context.Context) (items []Item, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	prefix := s.prefix
	if prefix != "" {
		prefix += "/"
	}
	for object := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: prefix}) {
		if object.Err != nil {
			return nil, fmt.Errorf("list the bucket: %w", object.Err)
		}
		items = append(items, Item{strings.TrimPrefix(object.Key, prefix), object.Size})
	}
	return items, nil
}

// Remove implements [Target].
func (s *S3) Remove(ctx context.Context, name string) error {
	return s.client.RemoveObject(ctx, s.bucket, s.object(name), minio.RemoveObjectOptions{})
}
