"""A Hugging Face transformer for text beside a convolutional network for pictures.

    $ pip install transformers
    $ python examples/text_image.py

BERT has random weights and two small layers; ``BertModel.from_pretrained("bert-base-uncased")`` stands in its
place where weights are at hand. The data are made here: the class is a word (of two) and a colour (of three).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertModel

from bogc import BOGC, ModalityPartition

STEPS, BATCH, SAMPLES, WORDS, LENGTH = 80, 64, 1024, 60, 12
LENGTHS = (6, LENGTH)  # of sentences; shorter ones are padded


def make_data(count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Tokens and attention mask [N, 12], pictures [N, 3, 12, 12] and classes 0 to 5 [N]."""
    word, colour = torch.randint(2, (count,)), torch.randint(3, (count,))
    tokens = torch.randint(10, WORDS, (count, LENGTH))
    mask = torch.arange(LENGTH) < torch.randint(LENGTHS[0], LENGTHS[1] + 1, (count, 1))
    tokens[:, 0] = 1  # the token that stands for the sentence
    tokens[torch.arange(count), torch.randint(1, LENGTHS[0], (count,))] = 2 + word  # somewhere in it
    image = torch.randn(count, 3, 12, 12)
    image[torch.arange(count), colour] += 0.7
    return tokens.where(mask, 0), mask.long(), image, 3 * word + colour


class TextImage(nn.Module):
    """An encoder and a head for each modality, and a head on both."""

    def __init__(self, classes: int = 6) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=WORDS,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=LENGTH,
        )
        # the pooler's output is not used: no loss would reach its weights
        self.text = BertModel(config, add_pooling_layer=False)
        self.image = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.text_head, self.image_head = nn.Linear(32, classes), nn.Linear(16, classes)
        self.fusion = nn.Linear(48, classes)

    def forward(self, tokens: Tensor, mask: Tensor, image: Tensor) -> dict[str, Tensor]:
        """Logits [N, classes] of each source."""
        words = self.text(input_ids=tokens, attention_mask=mask).last_hidden_state[:, 0]
        picture = self.image(image)
        fused = self.fusion(torch.cat([words, picture], 1))
        return {"fusion": fused, "text": self.text_head(words), "image": self.image_head(picture)}


def main() -> None:
    """Train, and print what the last step believed of each layer that has a matrix."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    *inputs, target = make_data(SAMPLES)
    network = TextImage()
    owned = {"text": [network.text, network.text_head], "image": [network.image, network.image_head]}
    partition = ModalityPartition(owned, shared=network.fusion, model=network)
    balancer = BOGC(partition, samples=SAMPLES)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.005)

    for step in range(STEPS):
        chosen = torch.randperm(SAMPLES)[:BATCH]
        logits = network(*(x[chosen] for x in inputs))
        losses = {name: cross_entropy(z, target[chosen], reduction="none") for name, z in logits.items()}
        optimizer.zero_grad()
        info = balancer.backward(losses)
        optimizer.step()
        if step == 0:
            before = {name: float(loss) for name, loss in info.losses.items()}

    print(f"{'layer':46} {'loss':8} {'u':>5} {'weight':>7}")
    for layer, seen in info.summary().items():
        if "LayerNorm" not in layer:
            for name, u in seen["uncertainty"].items():
                print(f"{layer:46} {name:8} {u:5.2f} {seen['weight'][name]:7.2f}")
    for name, loss in info.losses.items():
        print(f"{name} loss: {before[name]:.3f} before, {loss:.3f} after")
    network.eval()
    *inputs, target = make_data(512)
    right = network(*inputs)["fusion"].argmax(1) == target
    print(f"accuracy on new samples: {right.float().mean():.2f}")


if __name__ == "__main__":
    main()
