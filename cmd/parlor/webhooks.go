package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"parlor/actors/webhook"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/transport/outbound"
	hooks "parlor/transport/webhook"
)

// startWebhooks begins to deliver to the endpoints of the settings.
func (s *server) startWebhooks() error {
	targets, err := outbound.ParseTargets(s.PrivateTargets)
	if err != nil {
		return err
	}
	client := outbound.NewClient(targets, s.WebhookTimeout)
	endpoints := make(map[string]*hooks.Endpoint)
	var all []webhook.Hook
	for i, c := range s.Webhooks {
		secrets, err := hooks.ParseSecrets(os.Getenv(c.SecretVar))
		if err != nil {
			return fmt.Errorf("webhooks[%d].secret_var: the variable %s %w", i, c.SecretVar, err)
		}
		endpoints[c.Name] = &hooks.Endpoint{URL: c.URL, Secrets: secrets, Client: client}
		all = append(all, webhook.Hook{Name: c.Name, Events: c.Events, Chats: c.Chats, Users: c.Users})
	}
	s.hooks, err = webhook.Start(webhook.Options{
		Hooks: all, Log: s.store, Logger: s.log, Encode: hookEvents,
		Send: func(ctx context.Context, hook string, d webhook.Delivery) error {
			return endpoints[hook].Send(ctx, hooks.Message(d))
		},
		RetryDelay: s.WebhookRetryDelay, RetryFor: s.WebhookRetryFor, AtOnce: s.WebhookConcurrency, MaxDead: s.MaxDeadLetters,
	})
	if err != nil {
		return err
	}
	s.parts.add("webhooks", func(context.Context) error { s.hooks.Close(); client.Close(); return nil })
	return nil
}

// hookEvents is what webhooks tell of a record.
func hookEvents(room chat.RoomID, r chat.Record) (all []webhook.Event) {
	for _, e := range wire.NamedEvents(room, r) {
		all = append(all, webhook.Event{Name: e.Event, Body: e.Body})
	}
	return all
}

// A webhookCommand is what webhookCmd asks the server for, and a webhookResult the answer.
type (
	webhookCommand struct {
		Action string `json:"action"`
		Hook   string `json:"webhook,omitempty"`
		ID     string `json:"id,omitempty"`
	}
	webhookResult struct {
		Hooks     []webhook.Status `json:"webhooks,omitempty"`
		Dead      []webhook.Dead   `json:"dead,omitempty"`
		Delivered int              `json:"delivered,omitempty"`
		Error     string           `json:"error,omitempty"` // of the dead letter that replay has ended with
	}
)

// answerWebhook carries out a command that came through the control socket.
func answerWebhook(ctx context.Context, engine *webhook.Engine, text []byte) ([]byte, error) {
	var c webhookCommand
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	var result webhookResult
	switch c.Action {
	case "list":
		result.Hooks = engine.List()
	case "dead":
		result.Dead = engine.Dead(c.Hook)
	case "replay":
		n, err := engine.Replay(ctx, c.Hook, c.ID)
		if result.Delivered = n; err != nil {
			result.Error = err.Error()
		}
	default:
		return nil, fmt.Errorf("there is no command %q", c.Action)
	}
	return json.Marshal(result)
}

// webhookCmd shows how webhooks fare.
type webhookCmd struct {
	Action string `arg:"" enum:"list,dead,replay" help:"list, dead or replay."`
	Name   string `arg:"" optional:"" help:"The webhook; all if it is left out of dead."`
	ID     string `arg:"" optional:"" help:"The dead letter to replay, as dead shows it; all of the webhook if it is left out."`

	Values
}

// Help implements [kong.HelpProvider].
func (*webhookCmd) Help() string {
	return `Asks the server that runs with the data file. list shows the webhooks of the setting webhooks, how many rooms have something that waits for each, and why the last delivery has failed. dead shows the deliveries that were given up, and replay makes them once more, with the same webhook-id, until one fails.

    parlor webhook dead crm
    parlor webhook replay crm msg_2kx…`
}

// Run asks the server.
func (c *webhookCmd) Run(ctx context.Context, s *Settings, out *streams) error {
	if c.Action == "replay" && c.Name == "" {
		return usageError{errors.New("webhook replay: <name> is missing: which webhook")}
	}
	client, err := dialServer(ctx, s)
	if err != nil {
		return err
	}
	defer client.Close()
	command, err := json.Marshal(webhookCommand{c.Action, c.Name, c.ID})
	if err != nil {
		return err
	}
	answer, err := client.Webhook(ctx, command)
	if err != nil {
		return err
	}
	var result webhookResult
	if err := json.Unmarshal(answer, &result); err != nil {
		return err
	}
	return result.print(out.stdout, c.Action)
}

func (r webhookResult) print(w io.Writer, action string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	switch action {
	case "list":
		fmt.Fprintln(table, "WEBHOOK\tSINCE\tDELIVERED\tWAITING\tDEAD\tERROR")
		for _, h := range r.Hooks {
			fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\n", h.Hook, h.Since.UTC().Format(time.DateTime), h.Delivered, h.Waiting, h.Dead, cell(h.Error))
		}
	case "dead":
		fmt.Fprintln(table, "ID\tWEBHOOK\tEVENT\tCHAT\tSEQ\tGIVEN UP\tATTEMPTS\tERROR")
		for _, d := range r.Dead {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%d\t%s\n", d.ID, d.Hook, d.Event, d.Chat, d.Seq, d.At.UTC().Format(time.DateTime), d.Attempts, cell(d.Error))
		}
	default:
		fmt.Fprintf(table, "delivered %d\n", r.Delivered)
	}
	if err := table.Flush(); err != nil || r.Error == "" {
		return err
	}
	return errors.New(r.Error)
}
